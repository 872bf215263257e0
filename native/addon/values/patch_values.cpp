#include "addon/values/checked.h"
#include "addon/values/values.h"

namespace safelight {

namespace {

std::optional<weight_patch::range> to_range(const Napi::Value & value, const std::string & name) {
    if (value.IsUndefined()) return std::nullopt;
    Napi::Array pair = array(value, name);
    if (pair.Length() != 2) expected("an array of a start and an end", name);
    return weight_patch::range{integer(pair.Get(0u), name), integer(pair.Get(1u), name)};
}

weight_patch to_patch(const Napi::Value & value) {
    Napi::Object from = object(value, "a patch");
    weight_patch out;
    out.target = to_text(from.Get("target"), "the target of a patch");
    Napi::Value scale = from.Get("scale");
    if (!scale.IsNumber()) expected("a number", "the scale of the patch of " + out.target);
    out.scale = scale.As<Napi::Number>().FloatValue();
    out.rows = to_range(from.Get("rows"), "the rows of the patch of " + out.target);
    out.columns = to_range(from.Get("columns"), "the columns of the patch of " + out.target);
    Napi::Object add = object(from.Get("add"), "the change of the patch of " + out.target);
    Napi::Value full = add.Get("full");
    if (!full.IsUndefined()) {
        out.full = to_text(full, "the difference of the patch of " + out.target);
        if (out.full.empty()) expected("a name", "the difference of the patch of " + out.target);
        return out;
    }
    out.down = to_text(add.Get("down"), "a factor of the patch of " + out.target);
    out.up = to_text(add.Get("up"), "a factor of the patch of " + out.target);
    return out;
}

}  // namespace

patch_plan to_patch_plan(const Napi::Value & value) {
    Napi::Object from = object(value, "the patches");
    patch_plan out;
    out.weights = to_plan(from.Get("weights"));
    Napi::Array patches = array(from.Get("patches"), "the patches");
    out.patches.reserve(patches.Length());
    for (uint32_t i = 0; i < patches.Length(); i++) {
        Napi::HandleScope scope(value.Env());
        out.patches.push_back(to_patch(patches.Get(i)));
    }
    return out;
}

}  // namespace safelight
