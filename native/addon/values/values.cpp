#include "addon/values/values.h"

#include "addon/values/checked.h"

namespace safelight {

namespace {

// Larger than any config; stops cyclic or malicious values.
constexpr int max_depth = 16;
constexpr int max_values = 100'000;

config read_config(const Napi::Value & value, int depth, int & left) {
    if (depth > max_depth || --left < 0) {
        throw error("INVALID_OPTION", "The config is cyclic, nested more than " + std::to_string(max_depth) +
                                          " levels deep or has more than " + std::to_string(max_values) +
                                          " values");
    }
    if (value.IsNull() || value.IsUndefined()) {
        return config();
    }
    if (value.IsBoolean()) {
        return config(config::value(value.As<Napi::Boolean>().Value()));
    }
    if (value.IsNumber()) {
        return config(config::value(value.As<Napi::Number>().DoubleValue()));
    }
    if (value.IsString()) {
        return config(config::value(value.As<Napi::String>().Utf8Value()));
    }
    if (value.IsArray()) {
        auto from = value.As<Napi::Array>();
        config::array items;
        for (uint32_t i = 0; i < from.Length(); i++) {
            items.push_back(read_config(from.Get(i), depth + 1, left));
        }
        return config(config::value(std::move(items)));
    }
    if (!value.IsObject() || value.IsFunction()) {
        expected("a boolean, number, string, array or object", "a field of the config");
    }
    auto from = value.As<Napi::Object>();
    Napi::Array keys = from.GetPropertyNames();
    config::object fields;
    for (uint32_t i = 0; i < keys.Length(); i++) {
        Napi::Value key = keys.Get(i);
        fields[key.ToString().Utf8Value()] = read_config(from.Get(key), depth + 1, left);
    }
    return config(config::value(std::move(fields)));
}

std::set<std::string> read_names(const Napi::Object & from, const char * key) {
    std::set<std::string> out;
    Napi::Value value = from.Get(key);
    if (!value.IsUndefined()) {
        Napi::Array names = array(value, key);
        for (uint32_t i = 0; i < names.Length(); i++) {
            out.insert(to_text(names.Get(i), std::string("a name in ") + key));
        }
    }
    return out;
}

void read_packed(const Napi::Object & from, module_options & out) {
    out.packed_file = to_text(from.Get("path"), "the path of packed weights");
    Napi::Array weights = array(from.Get("weights"), "the packed weights");
    for (uint32_t i = 0; i < weights.Length(); i++) {
        Napi::Object weight = object(weights.Get(i), "a packed weight");
        out.packed_weights.push_back({to_text(weight.Get("key"), "the key of a packed weight"),
                                      natural(weight.Get("offset"), "the offset of a packed weight"),
                                      natural(weight.Get("length"), "the length of a packed weight")});
    }
}

}  // namespace

config to_config(const Napi::Value & value) {
    int left = max_values;
    return read_config(value, 0, left);
}

module_options to_module_options(const Napi::Value & value) {
    Napi::Object from = object(value, "the module's options");
    module_options out;
    out.backend = to_text(from.Get("backend"), "backend");
    Napi::Value device = from.Get("device");
    if (!device.IsUndefined()) {
        out.device = to_text(device, "device");
    }
    out.host_weights = flag(from, "hostWeights");
    out.threads = to_threads(from.Get("threads"));
    out.stock_ops = flag(from, "stockOps");
    Napi::Value precision = from.Get("precision");
    if (!precision.IsUndefined()) {
        out.precision = one_of<product_precision>(precision, "precision",
                                                  {{"f32", product_precision::f32},
                                                   {"bf16", product_precision::bf16},
                                                   {"int8", product_precision::int8}});
    }
    out.packs_weights = flag(from, "packWeights");
    out.discards_weights = flag(from, "discardWeights");
    Napi::Value packed = from.Get("packedWeights");
    if (!packed.IsUndefined()) {
        read_packed(object(packed, "packedWeights"), out);
    }
    out.map_weights = flag(from, "mapWeights");
    out.release_buffers = flag(from, "releaseBuffers");
    return out;
}

void read_run_options(const Napi::Value & value, run_request & request) {
    if (value.IsUndefined()) {
        return;
    }
    Napi::Object from = object(value, "the run's options");
    request.params = to_config(from.Get("params"));
    request.timings = flag(from, "timings");
    Napi::Value session = from.Get("session");
    if (!session.IsUndefined()) {
        request.session = to_text(session, "session");
    }
    Napi::Value patches = from.Get("patches");
    if (!patches.IsUndefined()) {
        request.patches = to_text(patches, "patches");
    }
    request.taps = read_names(from, "taps");
    request.keep = read_names(from, "keep");
}

}  // namespace safelight
