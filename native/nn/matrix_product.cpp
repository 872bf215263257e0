#include "runtime/patches/matrix_product.h"

#include "kernels/kernels.h"

namespace safelight {

namespace {

void multiply(const float * a, const float * b, float * y, int64_t rows, int64_t columns, int64_t depth,
              const float * residual) {
    kernels::gemm_args args{};
    args.rows = rows;
    args.columns = columns;
    args.depth = depth;
    args.x = a;
    args.ldx = depth;
    args.y = y;
    args.ldy = columns;
    args.w = {
        b, static_cast<size_t>(depth) * sizeof(float), kernels::storage::f32, nullptr, 1, sizeof(float)};
    args.act = kernels::activation::none;
    kernels::work_counter counter;
    args.residual = residual;
    kernels::active().gemm(args, {0, 1, &counter, nullptr, nullptr});
}

}  // namespace

void matrix_product(const float * a, const float * b, float * y, int64_t rows, int64_t columns,
                    int64_t depth) {
    multiply(a, b, y, rows, columns, depth, nullptr);
}

void add_matrix_product(const float * a, const float * b, float * y, int64_t rows, int64_t columns,
                        int64_t depth) {
    multiply(a, b, y, rows, columns, depth, y);
}

}  // namespace safelight
