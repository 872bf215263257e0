#include "nn/resample.h"

#include "nn/layout.h"

namespace safelight {

tensor upsample_nearest(model_ref m, tensor x, int64_t height, int64_t width) {
    map_dims d = dims_of_map(x);
    return ggml_interpolate(m.ctx(), x, width, height, d.channels, d.batch, GGML_SCALE_MODE_NEAREST);
}

tensor pad_bottom_right(model_ref m, tensor x) {
    return ggml_pad(m.ctx(), x, 1, 1, 0, 0);
}

}  // namespace safelight
