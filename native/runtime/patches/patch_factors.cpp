#include "runtime/patches/patch_factors.h"

#include "runtime/graph/shape.h"
#include "runtime/weights/convert.h"

namespace safelight {

weight_patch::range part_of(const std::optional<weight_patch::range> & part, int64_t count,
                            const weight_patch & patch, const char * what) {
    if (!part) return {0, count};
    if (part->begin < 0 || part->begin >= part->end || part->end > count) {
        throw error("ADAPTER_MISMATCH", "A patch of " + patch.target + " changes " + what + " " +
                                            std::to_string(part->begin) + " to " + std::to_string(part->end) +
                                            " of " + std::to_string(count));
    }
    return *part;
}

namespace {

std::unique_lock<std::mutex> locked(std::mutex * device) {
    return device == nullptr ? std::unique_lock<std::mutex>() : std::unique_lock<std::mutex>(*device);
}

}  // namespace

std::vector<float> read_parameter(const ggml_tensor * from, std::mutex * device) {
    std::vector<std::byte> copied;
    const auto * bytes = static_cast<const std::byte *>(from->data);
    if (!ggml_backend_buffer_is_host(from->buffer)) {
        copied.resize(ggml_nbytes(from));
        auto lock = locked(device);
        ggml_backend_tensor_get(from, copied.data(), 0, copied.size());
        bytes = copied.data();
    }
    std::vector<float> out(static_cast<size_t>(ggml_nelements(from)));
    decode(static_cast<source_type>(from->type), bytes, out.data(), ggml_nelements(from));
    return out;
}

void write_parameter(const std::vector<float> & values, tensor to, std::mutex * device) {
    auto count = static_cast<int64_t>(values.size());
    if (ggml_backend_buffer_is_host(to->buffer)) {
        return encode(to->type, values.data(), to->data, count, to->ne[0]);
    }
    std::vector<std::byte> bytes(ggml_nbytes(to));
    encode(to->type, values.data(), bytes.data(), count, to->ne[0]);
    auto lock = locked(device);
    ggml_backend_tensor_set(to, bytes.data(), 0, bytes.size());
}

factor_values patch_factors::read(const std::string & role) const {
    const std::string * name = patch_.named(role);
    auto entry = name == nullptr ? entries_.end() : entries_.find(*name);
    if (entry == entries_.end()) {
        throw error("ADAPTER_MISMATCH", "The patch of " + patch_.target + " has no factor " + role);
    }
    const shape & dims = entry->second->dims;
    return {read_parameter(source_.get(*name, dims, weight_role::matrix)), dims};
}

factor_values patch_factors::read(const std::string & role, const shape & dims) const {
    factor_values found = read(role);
    if (without_ones(found.dims) != without_ones(dims)) mismatch(role, found.dims, to_string(dims));
    return found;
}

void patch_factors::mismatch(const std::string & role, const shape & found,
                             const std::string & wanted) const {
    throw error("ADAPTER_MISMATCH", "The patch of " + patch_.target + " needs its factor " + role +
                                        " in shape " + wanted + " but has it in " + to_string(found));
}

}  // namespace safelight
