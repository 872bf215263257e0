#include "addon/values/checked.h"
#include "addon/values/values.h"

namespace safelight {

namespace {

weight_blend to_blend(const Napi::Value & value) {
    Napi::Object from = object(value, "a blend");
    weight_blend out;
    out.target = to_text(from.Get("target"), "the target of a blend");
    out.own = number(from.Get("scale"), "the scale of a blend");
    Napi::Value columns = from.Get("columns");
    if (!columns.IsUndefined()) {
        out.columns = static_cast<int64_t>(natural(columns, "the columns of a blend"));
    }
    Napi::Array terms = array(from.Get("terms"), "the terms of a blend");
    for (uint32_t i = 0; i < terms.Length(); i++) {
        Napi::Object term = object(terms.Get(i), "a term of a blend");
        out.terms.push_back({static_cast<size_t>(natural(term.Get("entry"), "the entry of a term")),
                             number(term.Get("scale"), "the scale of a term")});
    }
    return out;
}

}  // namespace

blend_plan to_blend_plan(const Napi::Value & value) {
    Napi::Object from = object(value, "the blends");
    blend_plan out;
    out.weights = to_plan(from.Get("weights"));
    Napi::Array blends = array(from.Get("blends"), "the list of blends");
    for (uint32_t i = 0; i < blends.Length(); i++) out.blends.push_back(to_blend(blends.Get(i)));
    return out;
}

}  // namespace safelight
