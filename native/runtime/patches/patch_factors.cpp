#include "runtime/patches/patch_factors.h"

#include <cstring>

#include "ggml-cpu.h"
#include "runtime/graph/shape.h"

namespace safelight {

std::vector<float> read_parameter(const ggml_tensor * from) {
    auto count = static_cast<size_t>(ggml_nelements(from));
    std::vector<std::byte> copied;
    const void * bytes = from->data;
    if (!ggml_backend_buffer_is_host(from->buffer)) {
        copied.resize(ggml_nbytes(from));
        ggml_backend_tensor_get(from, copied.data(), 0, copied.size());
        bytes = copied.data();
    }
    std::vector<float> out(count);
    if (from->type == GGML_TYPE_F32) {
        std::memcpy(out.data(), bytes, count * sizeof(float));
        return out;
    }
    if (from->type == GGML_TYPE_F16) {
        ggml_cpu_fp16_to_fp32(static_cast<const ggml_fp16_t *>(bytes), out.data(),
                              static_cast<int64_t>(count));
        return out;
    }
    ggml_to_float_t to_float = ggml_get_type_traits(from->type)->to_float;
    if (to_float == nullptr) {
        throw error("UNSUPPORTED_MODEL",
                    std::string("Weights in ") + ggml_type_name(from->type) + " cannot be rewritten");
    }
    to_float(bytes, out.data(), static_cast<int64_t>(count));
    return out;
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
