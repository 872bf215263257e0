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

float number_or(const Napi::Value & value, float instead, const std::string & name) {
    return value.IsUndefined() ? instead : number(value, name);
}

weight_patch to_patch(const Napi::Value & value) {
    Napi::Object from = object(value, "a patch");
    weight_patch out;
    out.target = to_text(from.Get("target"), "the target of a patch");
    out.scale = number(from.Get("scale"), "the scale of the patch of " + out.target);
    out.rows = to_range(from.Get("rows"), "the rows of the patch of " + out.target);
    out.columns = to_range(from.Get("columns"), "the columns of the patch of " + out.target);
    out.factor_rows = to_range(from.Get("factorRows"), "the factor rows of the patch of " + out.target);
    out.change = one_of<weight_patch::kind>(from.Get("kind"), "the kind of the patch of " + out.target,
                                            {{"low_rank", weight_patch::kind::low_rank},
                                             {"full", weight_patch::kind::full},
                                             {"hadamard", weight_patch::kind::hadamard},
                                             {"kronecker", weight_patch::kind::kronecker},
                                             {"multiply", weight_patch::kind::multiply},
                                             {"rotate", weight_patch::kind::rotate},
                                             {"butterfly", weight_patch::kind::butterfly}});
    Napi::Object factors = object(from.Get("factors"), "the factors of the patch of " + out.target);
    Napi::Array roles = factors.GetPropertyNames();
    for (uint32_t i = 0; i < roles.Length(); i++) {
        Napi::Value role = roles.Get(i);
        out.factors[to_text(role, "a role")] =
            to_text(factors.Get(role), "a factor of the patch of " + out.target);
    }
    out.factor = number_or(from.Get("factor"), 1, "the factor of the patch of " + out.target);
    out.constraint = number_or(from.Get("constraint"), 0, "the constraint of the patch of " + out.target);
    if (!from.Get("axis").IsUndefined()) {
        out.along = one_of<weight_patch::axis>(
            from.Get("axis"), "the axis of the patch of " + out.target,
            {{"output", weight_patch::axis::output}, {"input", weight_patch::axis::input}});
    }
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
    Napi::Array merged = array(from.Get("merged"), "the merged parameters");
    for (uint32_t i = 0; i < merged.Length(); i++) {
        Napi::HandleScope scope(value.Env());
        Napi::Object one = object(merged.Get(i), "a merged parameter");
        std::string target = to_text(one.Get("target"), "the name of a merged parameter");
        out.merged[target] = to_storage(one.Get("storage"), target);
    }
    return out;
}

}  // namespace safelight
