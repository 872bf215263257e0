#include "models/upscale/entry.h"

#include "nn/layout.h"

namespace safelight {
namespace {

const shape & check(const input_shapes & inputs, const upscaler_shape & s) {
    require_inputs(inputs, {"image"});
    const shape & dims = input_shape(inputs, "image", {"B", "C", "H", "W"}, {any, s.in_channels, any, any});
    if (dims[2] % s.multiple != 0 || dims[3] % s.multiple != 0) {
        throw error("SHAPE_MISMATCH", "Expected sides that are multiples of " + std::to_string(s.multiple) +
                                          " but received an image of " + std::to_string(dims[3]) + "x" +
                                          std::to_string(dims[2]) + " pixels");
    }
    require_countable({dims[0], s.widest, dims[2], dims[3]});
    return dims;
}

}  // namespace

void upscaler::build(graph & g, const std::string & entry, const input_shapes & inputs,
                     const config &) const {
    if (entry != "upscale") throw_unknown_entry(entry);
    const shape & dims = check(inputs, shape_);
    model_ref m(g);
    map_output(m, "image", forward_(m, map_input(m, "image", dims)));
}

void upscaler::build_all(graph & g) const {
    build(g, "upscale", {{"image", {1, shape_.in_channels, shape_.multiple, shape_.multiple}}}, {});
}

}  // namespace safelight
