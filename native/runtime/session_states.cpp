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
        out_of_memory(static_cast<uint64_t>(max_state_elements),
                      "A session state of shape " + to_string(dims));
    }
    state created;
    created.dims = dims;
    created.ctx.reset(ggml_init({2 * ggml_tensor_overhead(), nullptr, /*no_alloc*/ true}));
    std::vector<int64_t> ne(dims.rbegin(), dims.rend());
    created.value = ggml_new_tensor(created.ctx.get(), type, static_cast<int>(ne.size()), ne.data());
    created.memory = device_buffer(device_, created.value, "A session state");
    created.memory.clear();
    return created;
}

tensor session_states::get(const std::string & session, const std::string & name, ggml_type type,
                           const shape & dims, state_origin origin) {
    if (session.empty()) {
        throw error("INVALID_OPTION",
                    "This entry keeps state between runs; pass the name of the run's session");
    }
    named_states & states = sessions_[session];
    auto found = states.find(name);
    if (found == states.end()) {
        if (origin == state_origin::earlier_run) {
            throw error("INVALID_OPTION", "The session " + session + " has no " + name +
                                              " yet, or a failed run discarded it; first run the entry that "
                                              "writes it");
        }
        found = states.emplace(name, make(type, dims)).first;
        count();
    }
    if (found->second.value->type != type || found->second.dims != dims) {
        throw error("SHAPE_MISMATCH", "The session " + session + " has " + name + " of shape " +
                                          to_string(found->second.dims) + ", but this run needs " +
                                          to_string(dims) + "; release the session or use another one");
    }
    return found->second.value;
}

void session_states::commit(const std::string & session) {
    auto found = sessions_.find(session);
    if (found == sessions_.end()) return;
    for (auto & [name, entry] : found->second) {
        entry.committed = true;
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
        for (const auto & [name, entry] : states) {
            total += entry.memory.bytes();
        }
    }
    bytes_ = total;
}

}  // namespace safelight
