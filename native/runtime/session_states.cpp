#include "runtime/session_states.h"

#include <iterator>

#include "runtime/graph/shape.h"

namespace safelight {

namespace {

constexpr int64_t max_state_elements = int64_t(1) << 40;

}  // namespace

session_states::state session_states::make(ggml_type type, const shape & dims) const {
    int64_t count = element_count(dims);
    if (dims.empty() || dims.size() > GGML_MAX_DIMS || count <= 0 || count > max_state_elements) {
        out_of_memory(static_cast<uint64_t>(max_state_elements), "A session of shape " + to_string(dims));
    }
    state made;
    made.dims = dims;
    made.ctx.reset(ggml_init({2 * ggml_tensor_overhead(), nullptr, /*no_alloc*/ true}));
    std::vector<int64_t> ne(dims.rbegin(), dims.rend());
    made.value = ggml_new_tensor(made.ctx.get(), type, static_cast<int>(ne.size()), ne.data());
    made.memory = device_buffer(device_, made.value, "A session");
    made.memory.clear();
    return made;
}

tensor session_states::get(const std::string & session, const std::string & name, ggml_type type,
                           const shape & dims, state_origin origin) {
    if (session.empty()) {
        throw error("INVALID_OPTION",
                    "This entry keeps state between runs: name the session that the run belongs to");
    }
    named_states & states = sessions_[session];
    auto found = states.find(name);
    if (found == states.end()) {
        if (origin == state_origin::earlier_run) {
            throw error("INVALID_OPTION", "The session " + session + " has no " + name +
                                              " yet, or lost it with a run that failed: run the entry that "
                                              "writes it first");
        }
        found = states.emplace(name, make(type, dims)).first;
        count();
    }
    if (found->second.value->type != type || found->second.dims != dims) {
        throw error("SHAPE_MISMATCH", "The session " + session + " was begun with " + name + " of shape " +
                                          to_string(found->second.dims) + ", which is not " +
                                          to_string(dims) + ": release it, or take another");
    }
    return found->second.value;
}

void session_states::commit(const std::string & session) {
    auto found = sessions_.find(session);
    if (found == sessions_.end()) return;
    for (auto & [name, one] : found->second) {
        one.committed = true;
    }
}

bool session_states::drop_new(const std::string & session) {
    auto found = sessions_.find(session);
    if (found == sessions_.end()) return false;
    size_t before = found->second.size();
    for (auto at = found->second.begin(); at != found->second.end();) {
        at = at->second.committed ? std::next(at) : found->second.erase(at);
    }
    bool dropped = found->second.size() < before;
    if (found->second.empty()) sessions_.erase(found);
    count();
    return dropped;
}

void session_states::release(const std::string & session) {
    sessions_.erase(session);
    count();
}

void session_states::count() {
    uint64_t total = 0;
    for (const auto & [session, states] : sessions_) {
        for (const auto & [name, one] : states) {
            total += one.memory.bytes();
        }
    }
    bytes_ = total;
}

}  // namespace safelight
