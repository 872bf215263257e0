#include "nn/resample.h"

#include "nn/fusion.h"
#include "nn/layout.h"

namespace safelight {

tensor upsample_nearest(model_ref m, tensor x, int64_t height, int64_t width) {
    if (fuses(m)) return emit_upsample(m, x, height, width);
    map_dims d = dims_of_map(m, x);
    return ggml_interpolate(m.ctx(), x, width, height, d.channels, d.batch, GGML_SCALE_MODE_NEAREST);
}

tensor pad_bottom_right(model_ref m, tensor x) {
    return fuses(m) ? ggml_pad(m.ctx(), x, 0, 1, 1, 0) : ggml_pad(m.ctx(), x, 1, 1, 0, 0);
}

}  // namespace safelight
