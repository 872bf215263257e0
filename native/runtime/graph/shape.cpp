#include "runtime/graph/shape.h"

#include <limits>

namespace safelight {

int64_t element_count(const shape & dims, size_t first) {
    int64_t product = 1;
    bool empty = false;
    for (size_t i = first; i < dims.size(); i++) {
        int64_t n = dims[i];
        if (n < 0) {
            return -1;
        }
        if (n == 0) {
            empty = true;
        } else if (product > std::numeric_limits<int64_t>::max() / n) {
            return -1;
        } else {
            product *= n;
        }
    }
    return empty ? 0 : product;
}

shape without_ones(const shape & dims) {
    shape out;
    for (int64_t n : dims) {
        if (n != 1) {
            out.push_back(n);
        }
    }
    if (out.empty()) {
        out.push_back(1);
    }
    return out;
}

std::string to_string(const shape & dims) {
    std::string out = "[";
    for (size_t i = 0; i < dims.size(); i++) {
        out += (i > 0 ? ", " : "") + std::to_string(dims[i]);
    }
    return out + "]";
}

}  // namespace safelight
