#include <algorithm>
#include <cctype>

#include "addon/values/checked.h"
#include "addon/values/values.h"

namespace safelight {

namespace {

// Returns ggml's types that can be converted to f32, by their ggml names with `change` applied to each
// letter.
template <typename T>
std::map<std::string, T> types_by_name(int (*change)(int)) {
    std::map<std::string, T> out;
    for (int i = 0; i < GGML_TYPE_COUNT; i++) {
        auto type = static_cast<ggml_type>(i);
        const ggml_type_traits * traits = ggml_get_type_traits(type);
        if (type != GGML_TYPE_F32 && (traits->blck_size == 0 || traits->to_float == nullptr)) {
            continue;
        }
        std::string name = traits->type_name;
        std::transform(name.begin(), name.end(), name.begin(),
                       [change](unsigned char c) { return static_cast<char>(change(c)); });
        out[name] = static_cast<T>(type);
    }
    return out;
}

const std::map<std::string, source_type> & source_types() {
    static const std::map<std::string, source_type> types = [] {
        auto all = types_by_name<source_type>(std::toupper);
        all["F64"] = source_type::f64;
        all["F8_E4M3"] = source_type::f8_e4m3;
        all["F8_E5M2"] = source_type::f8_e5m2;
        all["F8_E8M0"] = source_type::f8_e8m0;
        all["I8"] = source_type::i8;
        all["I4"] = source_type::i4;
        all["F4_E2M1"] = source_type::f4_e2m1;
        return all;
    }();
    return types;
}

const std::map<std::string, ggml_type> & storage_types() {
    static const auto types = types_by_name<ggml_type>([](int c) { return c; });
    return types;
}

weight_scale to_scale(const Napi::Value & value, const std::string & name) {
    Napi::Object from = object(value, "the scale of " + name);
    weight_scale out;
    out.type = one_of(from.Get("type"), "the type of the scale of " + name, source_types());
    out.offset = natural(from.Get("offset"), "the offset of the scale of " + name);
    out.count = integer(from.Get("count"), "the number of scales of " + name);
    const auto optional = [&](const char * key) {
        return from.Has(key) ? integer(from.Get(key), "the scale of " + name) : 0;
    };
    out.block = optional("block");
    out.factor = static_cast<uint64_t>(optional("factor"));
    out.rotation = optional("rotation");
    return out;
}

weight_entry to_entry(const Napi::Value & value) {
    Napi::Object from = object(value, "an entry of the weight plan");
    weight_entry out;
    out.name = to_text(from.Get("name"), "the name of a weight");
    out.dims = to_shape(from.Get("shape"), out.name);
    out.storage = to_storage(from.Get("storage"), out.name);

    Napi::Object source = object(from.Get("source"), "the source of " + out.name);
    out.file = natural(source.Get("file"), "the file of " + out.name);
    out.offset = natural(source.Get("offset"), "the offset of " + out.name);
    out.length = natural(source.Get("length"), "the length of " + out.name);
    out.type = one_of(source.Get("type"), "the type of " + out.name, source_types());
    out.source_dims = to_shape(source.Get("shape"), out.name);
    if (source.Has("strides")) {
        out.strides = to_shape(source.Get("strides"), "the strides of " + out.name);
    }

    if (source.Has("scale")) out.scale = to_scale(source.Get("scale"), out.name);

    Napi::Value transform = from.Get("transform");
    if (!transform.IsUndefined()) {
        Napi::Object options = object(transform, "the transform of " + out.name);
        out.op = one_of<weight_entry::transform>(
            options.Get("op"), "the transform of " + out.name,
            {{"rows", weight_entry::transform::rows}, {"transpose", weight_entry::transform::transpose}});
        if (out.op == weight_entry::transform::rows) {
            out.row_begin = integer(options.Get("start"), "the first row of " + out.name);
            out.row_end = integer(options.Get("end"), "the last row of " + out.name);
            Napi::Value groups = options.Get("groups");
            if (!groups.IsUndefined()) out.groups = integer(groups, "the groups of " + out.name);
        }
    }
    return out;
}

}  // namespace

ggml_type to_storage(const Napi::Value & value, const std::string & name) {
    return one_of(value, "the storage of " + name, storage_types());
}

weight_plan to_plan(const Napi::Value & value) {
    Napi::Object from = object(value, "the weight plan");
    weight_plan out;
    Napi::Array files = array(from.Get("files"), "the files of the weight plan");
    for (uint32_t i = 0; i < files.Length(); i++) {
        out.files.push_back(to_text(files.Get(i), "a file of the weight plan"));
    }
    Napi::Array entries = array(from.Get("entries"), "the entries of the weight plan");
    out.entries.reserve(entries.Length());
    for (uint32_t i = 0; i < entries.Length(); i++) {
        Napi::HandleScope scope(value.Env());
        out.entries.push_back(to_entry(entries.Get(i)));
    }
    return out;
}

write_request to_write_request(const Napi::Value & value) {
    Napi::Object from = object(value, "the write request");
    write_request out;
    out.path = to_text(from.Get("path"), "the path of the output");
    out.plan = to_plan(from.Get("plan"));
    Napi::Array offsets = array(from.Get("offsets"), "the offsets of the output");
    if (offsets.Length() != out.plan.entries.size()) {
        expected("one offset per entry", "the output");
    }
    for (uint32_t i = 0; i < offsets.Length(); i++) {
        out.offsets.push_back(natural(offsets.Get(i), "an offset of the output"));
    }
    Napi::Value patches = from.Get("patches");
    if (!patches.IsUndefined()) {
        out.patches = to_patch_plan(patches);
        Napi::Array transposed = array(from.Get("transposed"), "the transposed entries");
        for (uint32_t i = 0; i < transposed.Length(); i++) {
            out.transposed.insert(to_text(transposed.Get(i), "a transposed entry"));
        }
    }
    Napi::Value blends = from.Get("blends");
    if (!blends.IsUndefined()) {
        if (out.patches) expected("either patches or blends", "the output");
        out.blends = to_blend_plan(blends);
    }
    out.threads = to_threads(from.Get("threads"));
    return out;
}

}  // namespace safelight
