#include "runtime/graph/strided.h"

#include <cstring>
#include <utility>

namespace safelight {

int64_t strided_span(const weight_entry & entry, int64_t limit) {
    if (entry.strides.size() != entry.source_dims.size() || block_elements(entry.type) != 1) {
        return 0;
    }
    int64_t last = 0;
    for (size_t i = 0; i < entry.strides.size(); i++) {
        int64_t steps = entry.source_dims[i] - 1, stride = entry.strides[i];
        if (steps < 0 || stride < 0 || (stride > 0 && steps > (limit - last) / stride)) {
            return 0;
        }
        last += steps * stride;
    }
    return last < limit ? last + 1 : 0;
}

std::vector<std::byte> gather(const weight_entry & entry, const std::byte * from, int64_t first,
                              int64_t count) {
    size_t size = block_bytes(entry.type);
    shape dims = entry.source_dims, strides = entry.strides;
    int64_t at = 0;  // offset of the current element from the source's first one
    if (entry.op == weight_entry::transform::rows) {
        at = entry.row_begin * strides[0];
        strides.insert(strides.begin(), dims[0] / entry.groups * strides[0]);
        dims[0] = entry.row_end - entry.row_begin;
        dims.insert(dims.begin(), entry.groups);
    } else if (entry.op == weight_entry::transform::transpose) {
        std::swap(dims[0], dims[1]);
        std::swap(strides[0], strides[1]);
    }
    shape index(dims.size());
    for (size_t i = dims.size(); i-- > 0; first /= dims[i]) {
        index[i] = first % dims[i];
        at += index[i] * strides[i];
    }
    std::vector<std::byte> out(static_cast<size_t>(count) * size);
    for (int64_t done = 0; done < count; done++) {
        std::memcpy(out.data() + static_cast<size_t>(done) * size, from + static_cast<size_t>(at) * size,
                    size);
        for (size_t i = dims.size(); i-- > 0;) {
            at += strides[i];
            if (++index[i] < dims[i]) {
                break;
            }
            at -= dims[i] * strides[i];
            index[i] = 0;
        }
    }
    return out;
}

}  // namespace safelight
