#pragma once

#include "kernels/isa/simd.h"
#include "kernels/kernels.h"

namespace safelight::kernels::SAFELIGHT_ISA {

// Where row `row`'s weights from column `column` on begin; `column` must be a multiple of the block.
inline const void * weights_at(const weights & w, int64_t row, int64_t column) {
    return static_cast<const char *>(w.data) + static_cast<size_t>(row) * w.row_bytes +
           static_cast<size_t>(column / w.block) * w.block_bytes;
}

// The weights that are read next, asked of memory a few lines at a time while others are multiplied. (Asked
// for in one go, or while the ones before are read, they fill the queue of what is on its way from memory,
// and all that is not in the first-level cache waits for them: a third of the time of a layer with few
// pixels.)
class weight_prefetcher {
  public:
    // Rows [row, row + rows) and columns [column, column + count) of w, in `parts` parts.
    weight_prefetcher(const weights & w, int64_t row, int64_t rows, int64_t column, int64_t count,
                      int64_t parts)
        : row_(static_cast<const char *>(weights_at(w, row, column))),
          row_bytes_(w.row_bytes),
          bytes_(count / w.block * static_cast<int64_t>(w.block_bytes)),
          rows_(rows),
          each_((rows * ((bytes_ + line - 1) / line) + parts - 1) / std::max<int64_t>(1, parts)) {}

    void ask() {
        for (int64_t i = 0; i < each_ && rows_ > 0; i++) {
            __builtin_prefetch(row_ + at_, 0, 2);
            at_ += line;
            if (at_ < bytes_) continue;
            at_ = 0;
            row_ += row_bytes_;
            rows_--;
        }
    }

  private:
    static constexpr int64_t line = 64;
    const char * row_;
    size_t row_bytes_;
    int64_t bytes_, rows_, each_, at_ = 0;  // bytes of a row, rows left, lines in a part, where in the row
};

}  // namespace safelight::kernels::SAFELIGHT_ISA
