#include "runtime/patches/difference.h"

#include "runtime/graph/shape.h"
#include "runtime/patches/matrix_product.h"

namespace safelight {

namespace {

using values = std::vector<float>;

values zeros(int64_t count) {
    return values(static_cast<size_t>(count));
}

// [rows, columns] -> [columns, rows]
values transposed(const values & from, int64_t rows, int64_t columns) {
    values out(from.size());
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++) {
            out[static_cast<size_t>(j * rows + i)] = from[static_cast<size_t>(i * columns + j)];
        }
    }
    return out;
}

// a [rows, depth] · b [depth, columns]
values product(const values & a, const values & b, int64_t rows, int64_t depth, int64_t columns) {
    values out = zeros(rows * columns);
    values right = transposed(b, depth, columns);
    matrix_product(a.data(), right.data(), out.data(), rows, columns, depth);
    return out;
}

// sum_ij core[i,j,k] left[i,o] right[j,c] -> [o, c, k], with left [I, O] and right [J, C].
values with_core(const factor_values & core, const values & left, const values & right, int64_t rows,
                 int64_t columns) {
    int64_t i = core.side(0), j = core.side(1), k = element_count(core.dims, 2);
    // core [I, J, K] -> [I, K, J], so that one product contracts J: [I*K, J] · [J, C].
    values turned(core.data.size());
    for (int64_t a = 0; a < i; a++) {
        for (int64_t b = 0; b < j; b++) {
            for (int64_t c = 0; c < k; c++) {
                turned[static_cast<size_t>((a * k + c) * j + b)] =
                    core.data[static_cast<size_t>((a * j + b) * k + c)];
            }
        }
    }
    values inner = product(turned, right, i * k, j, columns);                        // [I, K, C]
    values outer = product(transposed(left, i, rows), inner, rows, i, k * columns);  // [O, K, C]
    values out(outer.size());
    for (int64_t o = 0; o < rows; o++) {
        for (int64_t c = 0; c < columns; c++) {
            for (int64_t b = 0; b < k; b++) {
                out[static_cast<size_t>((o * columns + c) * k + b)] =
                    outer[static_cast<size_t>((o * k + b) * columns + c)];
            }
        }
    }
    return out;
}

void require_kernel(const patch_factors & factors, const std::string & role, const factor_values & core,
                    int64_t kernel) {
    if (core.dims.size() < 2 || element_count(core.dims, 2) != kernel) {
        factors.mismatch(role, core.dims, "[r, r, kernel]");
    }
}

// The right factor of a low-rank product, [rank, width].
factor_values right_side(const patch_factors & factors, const std::string & role, const matrix_size & size) {
    factor_values found = factors.read(role);
    int64_t rank = found.side(0);
    if (rank < 1 || element_count(found.dims) != rank * size.width()) {
        factors.mismatch(role, found.dims, to_string({rank, size.columns, size.kernel}));
    }
    return found;
}

// left [rows, r] · right [r, width]
values low_rank_product(const patch_factors & factors, const std::string & left, const std::string & right,
                        const matrix_size & size) {
    factor_values b = right_side(factors, right, size);
    int64_t rank = b.side(0);
    return product(factors.read(left, {size.rows, rank}).data, b.data, size.rows, rank, size.width());
}

values low_rank(const patch_factors & factors, const matrix_size & size) {
    if (!factors.has("mid")) return low_rank_product(factors, "up", "down", size);
    factor_values core = factors.read("mid");
    require_kernel(factors, "mid", core, size.kernel);
    values up = factors.read("up", {size.rows, core.side(0)}).data;
    values down = factors.read("down", {core.side(1), size.columns}).data;
    return with_core(core, transposed(up, size.rows, core.side(0)), down, size.rows, size.columns);
}

// w_a [rows, r] · w_b [r, width], or with a core t [r, r, kernel]: w_a [r, rows], w_b [r, columns].
values hadamard_factor(const patch_factors & factors, const std::string & which, const matrix_size & size) {
    std::string a = "w" + which + "_a", b = "w" + which + "_b", t = "t" + which;
    if (!factors.has(t)) return low_rank_product(factors, a, b, size);
    factor_values core = factors.read(t);
    require_kernel(factors, t, core, size.kernel);
    return with_core(core, factors.read(a, {core.side(0), size.rows}).data,
                     factors.read(b, {core.side(1), size.columns}).data, size.rows, size.columns);
}

values hadamard(const patch_factors & factors, const matrix_size & size) {
    values out = hadamard_factor(factors, "1", size);
    values other = hadamard_factor(factors, "2", size);
    for (size_t i = 0; i < out.size(); i++) out[i] *= other[i];
    return out;
}

// A factor of a Kronecker product as [rows, columns, kernel].
struct kronecker_factor {
    values data;
    int64_t rows, columns, kernel;
};

kronecker_factor left_factor(const patch_factors & factors) {
    if (factors.has("w1")) {
        factor_values w = factors.read("w1");
        if (w.dims.size() != 2) factors.mismatch("w1", w.dims, "[rows, columns]");
        return {std::move(w.data), w.dims[0], w.dims[1], 1};
    }
    factor_values a = factors.read("w1_a"), b = factors.read("w1_b");
    if (a.dims.size() != 2 || b.dims.size() != 2 || a.dims[1] != b.dims[0]) {
        factors.mismatch("w1_b", b.dims, to_string({a.side(1), -1}));
    }
    return {product(a.data, b.data, a.dims[0], a.dims[1], b.dims[1]), a.dims[0], b.dims[1], 1};
}

kronecker_factor right_factor(const patch_factors & factors, int64_t kernel) {
    if (factors.has("w2")) {
        factor_values w = factors.read("w2");
        if (w.dims.size() < 2 || element_count(w.dims, 2) != kernel) {
            factors.mismatch("w2", w.dims, "[rows, columns, kernel]");
        }
        return {std::move(w.data), w.dims[0], w.dims[1], kernel};
    }
    factor_values a = factors.read("w2_a"), b = factors.read("w2_b");
    if (factors.has("t2")) {
        factor_values core = factors.read("t2");
        require_kernel(factors, "t2", core, kernel);
        if (a.dims.size() < 2 || a.dims[0] != core.side(0)) factors.mismatch("w2_a", a.dims, "[r, rows]");
        if (b.dims.size() < 2 || b.dims[0] != core.side(1)) factors.mismatch("w2_b", b.dims, "[r, columns]");
        return {with_core(core, a.data, b.data, a.dims[1], b.dims[1]), a.dims[1], b.dims[1], kernel};
    }
    int64_t width = element_count(b.dims, 1);
    if (a.dims.size() < 2 || a.side(1) != b.side(0) || element_count(a.dims, 2) != 1 || width % kernel != 0) {
        factors.mismatch("w2_b", b.dims, to_string({a.side(1), -1}));
    }
    return {product(a.data, b.data, a.dims[0], a.dims[1], width), a.dims[0], width / kernel, kernel};
}

values kronecker(const patch_factors & factors, const matrix_size & size) {
    kronecker_factor left = left_factor(factors), right = right_factor(factors, size.kernel);
    const auto & cut = factors.patch().factor_rows;
    int64_t rows = left.rows * right.rows, columns = left.columns * right.columns;
    int64_t first = cut ? cut->begin : 0, last = cut ? cut->end : rows;
    if (columns != size.columns || first < 0 || last > rows || last - first != size.rows) {
        factors.mismatch(factors.has("w2") ? "w2" : "w2_a", {right.rows, right.columns},
                         "one that makes a product of " + std::to_string(size.rows) + " rows and " +
                             std::to_string(size.columns) + " columns, not " + std::to_string(rows) +
                             " and " + std::to_string(columns));
    }
    values out = zeros(size.count());
    for (int64_t row = first; row < last; row++) {
        int64_t i = row / right.rows, j = row % right.rows;
        float * to = out.data() + (row - first) * size.width();
        const float * block = right.data.data() + j * right.columns * right.kernel;
        for (int64_t p = 0; p < left.columns; p++) {
            float by = left.data[static_cast<size_t>(i * left.columns + p)];
            for (int64_t q = 0; q < right.columns * right.kernel; q++) *to++ = by * block[q];
        }
    }
    return out;
}

values whole(const patch_factors & factors, const matrix_size & size) {
    factor_values full = factors.read("full");
    if (element_count(full.dims) != size.count()) {
        factors.mismatch("full", full.dims, to_string({size.rows, size.columns, size.kernel}));
    }
    return std::move(full.data);
}

}  // namespace

std::vector<float> difference_of(const patch_factors & factors, const matrix_size & size) {
    switch (factors.patch().change) {
        case weight_patch::kind::low_rank:
            return low_rank(factors, size);
        case weight_patch::kind::hadamard:
            return hadamard(factors, size);
        case weight_patch::kind::kronecker:
            return kronecker(factors, size);
        default:
            return whole(factors, size);
    }
}

void add_difference_to(std::vector<float> & w, const patch_factors & factors, const matrix_size & size,
                       float scale) {
    if (factors.patch().change == weight_patch::kind::low_rank && !factors.has("mid")) {
        factor_values down = right_side(factors, "down", size);
        int64_t rank = down.side(0);
        values up = factors.read("up", {size.rows, rank}).data;
        for (float & value : up) value *= scale;
        values right = transposed(down.data, rank, size.width());
        add_matrix_product(up.data(), right.data(), w.data(), size.rows, size.width(), rank);
        return;
    }
    values change = difference_of(factors, size);
    for (size_t i = 0; i < w.size(); i++) w[i] += scale * change[i];
}

}  // namespace safelight
