#pragma once

#include "kernels/isa/simd.h"
#include "kernels/kernels.h"

namespace safelight::kernels::SAFELIGHT_ISA {

// Returns the address of column `column`, a multiple of the block size, of row `row`.
inline const void * weights_at(const weights & w, int64_t row, int64_t column) {
    return static_cast<const char *>(w.data) + static_cast<size_t>(row) * w.row_bytes +
           static_cast<size_t>(column / w.block) * w.block_bytes;
}

// Prefetches the weights of the next panel a few cache lines at a time while the current panel is multiplied.
// Prefetching all at once, or while weights are being read, fills the processor's queue of outstanding loads
// and stalls every access outside the L1 cache, which costs a third of the time of a layer with few pixels.
class weight_prefetcher {
  public:
    // Prefetches rows [row, row + rows) and columns [column, column + count) of w in `parts` calls of
    // prefetch().
    weight_prefetcher(const weights & w, int64_t row, int64_t rows, int64_t column, int64_t count,
                      int64_t parts)
        : row_(static_cast<const char *>(weights_at(w, row, column))),
          row_bytes_(w.row_bytes),
          bytes_(count / w.block * static_cast<int64_t>(w.block_bytes)),
          rows_(rows),
          each_((rows * ((bytes_ + line - 1) / line) + parts - 1) / std::max<int64_t>(1, parts)) {}

    // Prefetches consecutive bytes.
    weight_prefetcher(const void * from, int64_t bytes, int64_t parts)
        : row_(static_cast<const char *>(from)),
          row_bytes_(0),
          bytes_(bytes),
          rows_(1),
          each_(((bytes_ + line - 1) / line + parts - 1) / std::max<int64_t>(1, parts)) {}

    void prefetch() {
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
    int64_t bytes_, rows_, each_, at_ = 0;  // bytes per row, rows left, lines per call, offset in the row
};

}  // namespace safelight::kernels::SAFELIGHT_ISA
