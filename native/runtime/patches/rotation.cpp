#include "runtime/patches/rotation.h"

#include <cmath>

#include "runtime/graph/shape.h"

namespace safelight {

namespace {

using matrix = std::vector<double>;  // [b, b]

// A block of rows beyond this would take minutes to invert; trainers use up to 128.
constexpr int64_t max_block = 1024;

// Solves X (I - Q) = I + Q for X by Gaussian elimination with row pivots, on the transposed system.
matrix cayley(const matrix & q, int64_t b) {
    auto at = [b](int64_t i, int64_t j) { return static_cast<size_t>(i * b + j); };
    matrix left(q.size()), right(q.size());
    for (int64_t i = 0; i < b; i++) {
        for (int64_t j = 0; j < b; j++) {
            double one = i == j ? 1 : 0;
            left[at(i, j)] = one - q[at(j, i)];
            right[at(i, j)] = one + q[at(j, i)];
        }
    }
    for (int64_t column = 0; column < b; column++) {
        int64_t pivot = column;
        for (int64_t i = column + 1; i < b; i++) {
            if (std::abs(left[at(i, column)]) > std::abs(left[at(pivot, column)])) pivot = i;
        }
        for (int64_t j = 0; j < b; j++) {
            std::swap(left[at(column, j)], left[at(pivot, j)]);
            std::swap(right[at(column, j)], right[at(pivot, j)]);
        }
        double by = 1 / left[at(column, column)];
        for (int64_t j = 0; j < b; j++) {
            left[at(column, j)] *= by;
            right[at(column, j)] *= by;
        }
        for (int64_t i = 0; i < b; i++) {
            double times = left[at(i, column)];
            if (i == column || times == 0) continue;
            for (int64_t j = 0; j < b; j++) {
                left[at(i, j)] -= times * left[at(column, j)];
                right[at(i, j)] -= times * right[at(column, j)];
            }
        }
    }
    matrix out(q.size());
    for (int64_t i = 0; i < b; i++) {
        for (int64_t j = 0; j < b; j++) out[at(i, j)] = right[at(j, i)];
    }
    return out;
}

// The generators Q = B - B^T of every block, shrunk so that their norm stays within the constraint.
std::vector<matrix> generators(const factor_values & blocks, size_t side, double bound) {
    size_t area = side * side;
    std::vector<matrix> all(blocks.data.size() / area, matrix(area));
    double squares = 0;
    for (size_t k = 0; k < all.size(); k++) {
        const float * block = blocks.data.data() + k * area;
        for (size_t i = 0; i < area; i++) {
            double q = static_cast<double>(block[i]) - block[i % side * side + i / side];
            all[k][i] = q;
            squares += q * q;
        }
    }
    double norm = std::sqrt(squares) + 1e-8;
    if (bound <= 0 || norm <= bound) return all;
    for (matrix & q : all) {
        for (double & value : q) value *= bound / norm;
    }
    return all;
}

// s·R + (1 - s)·I of every block, where R is stored itself or made of generators.
std::vector<matrix> rotations(const patch_factors & factors, const factor_values & blocks, int64_t b) {
    auto side = static_cast<size_t>(b), area = side * side;
    bool stored = factors.has("rotations");
    std::vector<matrix> all;
    for (size_t k = 0; stored && k < blocks.data.size() / area; k++) {
        const float * first = blocks.data.data() + k * area;
        all.emplace_back(first, first + area);
    }
    if (!stored) {
        all = generators(blocks, side, factors.patch().constraint);
        for (matrix & q : all) q = cayley(q, b);
    }
    double s = factors.patch().scale;
    for (matrix & r : all) {
        for (size_t i = 0; i < area; i++) r[i] = s * r[i] + (i % (side + 1) == 0 ? 1 - s : 0);
    }
    return all;
}

// Rows [first, first + b) of w become r · rows, or r^T · rows.
void multiply_block(const matrix & r, bool transposed, float * w, int64_t b, int64_t width) {
    std::vector<double> sums(static_cast<size_t>(b));
    for (int64_t column = 0; column < width; column++) {
        for (int64_t i = 0; i < b; i++) {
            double sum = 0;
            for (int64_t j = 0; j < b; j++) {
                sum += r[static_cast<size_t>(transposed ? j * b + i : i * b + j)] * w[j * width + column];
            }
            sums[static_cast<size_t>(i)] = sum;
        }
        for (int64_t i = 0; i < b; i++)
            w[i * width + column] = static_cast<float>(sums[static_cast<size_t>(i)]);
    }
}

// Rows (c, g, k) in the order (c, k, g), for groups of g and k rows.
std::vector<float> permuted(const std::vector<float> & w, int64_t rows, int64_t width, int64_t g, int64_t k) {
    std::vector<float> out(w.size());
    for (int64_t row = 0; row < rows; row++) {
        int64_t c = row / (g * k), i = row / k % g, j = row % k;
        std::copy_n(w.data() + row * width, width, out.data() + ((c * k + j) * g + i) * width);
    }
    return out;
}

void butterfly(const std::vector<matrix> & r, std::vector<float> & w, const matrix_size & size,
               int64_t stages, int64_t b) {
    int64_t blocks = size.rows / b;
    for (int64_t stage = 0; stage < stages; stage++) {
        int64_t k = (int64_t(1) << stage) * (b / 2);
        w = permuted(w, size.rows, size.width(), 2, k);
        for (int64_t n = 0; n < blocks; n++) {
            multiply_block(r[static_cast<size_t>(stage * blocks + n)], false, w.data() + n * b * size.width(),
                           b, size.width());
        }
        w = permuted(w, size.rows, size.width(), k, 2);
    }
}

}  // namespace

void rotate_rows(const patch_factors & factors, std::vector<float> & w, const matrix_size & size) {
    bool stages = factors.patch().change == weight_patch::kind::butterfly;
    std::string role = factors.has("rotations") ? "rotations" : "blocks";
    factor_values blocks = factors.read(role);
    size_t dims = stages ? 4 : 3;
    int64_t b = blocks.dims.size() == dims ? blocks.dims[dims - 1] : 0;
    int64_t count = blocks.dims.size() == dims ? blocks.dims[dims - 3] : 0;
    // Each stage permutes groups of 2^(stage + 1)·b/2 rows, which must fill the weight.
    bool whole = b > 0 && b <= max_block && blocks.dims[dims - 2] == b && count * b == size.rows;
    if (whole && stages) {
        int64_t m = blocks.dims[0];
        whole = b % 2 == 0 && m >= 1 && m < 32 && size.rows % ((int64_t(1) << (m - 1)) * b) == 0;
    }
    if (!whole) factors.mismatch(role, blocks.dims, stages ? "[stages, rows / b, b, b]" : "[rows / b, b, b]");
    std::vector<matrix> r = rotations(factors, blocks, b);
    if (stages) {
        butterfly(r, w, size, blocks.dims[0], b);
    } else {
        for (int64_t n = 0; n < count; n++) {
            multiply_block(r[static_cast<size_t>(n)], true, w.data() + n * b * size.width(), b, size.width());
        }
    }
    if (!factors.has("rescale")) return;
    factor_values rescale = factors.read("rescale", {size.rows});
    for (int64_t row = 0; row < size.rows; row++) {
        float by = rescale.data[static_cast<size_t>(row)];
        for (int64_t i = 0; i < size.width(); i++) w[static_cast<size_t>(row * size.width() + i)] *= by;
    }
}

}  // namespace safelight
