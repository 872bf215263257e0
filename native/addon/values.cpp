#include "addon/values.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>

#include "runtime/threads.h"

namespace safelight {

namespace {

// Far above any config; a cycle or a bomb ends here.
constexpr int max_depth = 16;
constexpr int max_values = 100'000;
constexpr uint32_t max_dims = 16;

[[noreturn]] void expected(const std::string & what, const std::string & name) {
    throw error("INVALID_OPTION", "Expected " + what + " for " + name);
}

config read_config(const Napi::Value & value, int depth, int & left) {
    if (depth > max_depth || --left < 0) {
        throw error("INVALID_OPTION", "The config is cyclic, too deep or too large");
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
        expected("plain data", "a field of the config");
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

Napi::Object object(const Napi::Value & value, const std::string & name) {
    if (!value.IsObject()) {
        expected("an object", name);
    }
    return value.As<Napi::Object>();
}

Napi::Array array(const Napi::Value & value, const std::string & name) {
    if (!value.IsArray()) {
        expected("an array", name);
    }
    return value.As<Napi::Array>();
}

// An integer that a double holds exactly.
int64_t integer(const Napi::Value & value, const std::string & name) {
    double n = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
    if (n != std::floor(n) || std::fabs(n) > 9007199254740991.0) {
        expected("an integer", name);
    }
    return static_cast<int64_t>(n);
}

uint64_t natural(const Napi::Value & value, const std::string & name) {
    int64_t n = integer(value, name);
    if (n < 0) {
        expected("a number of at least 0", name);
    }
    return static_cast<uint64_t>(n);
}

bool flag(const Napi::Object & from, const char * key) {
    Napi::Value value = from.Get(key);
    if (value.IsUndefined()) {
        return false;
    }
    if (!value.IsBoolean()) {
        expected("a boolean", key);
    }
    return value.As<Napi::Boolean>().Value();
}

template <typename T>
T one_of(const Napi::Value & value, const std::string & name, const std::map<std::string, T> & choices) {
    std::string text = to_text(value, name);
    auto found = choices.find(text);
    if (found == choices.end()) {
        std::string list;
        for (const auto & [choice, ignored] : choices) {
            list += (list.empty() ? "" : ", ") + choice;
        }
        throw error("INVALID_OPTION", "Expected one of " + list + " for " + name + " but received " + text);
    }
    return found->second;
}

// Every type of ggml that can be expanded to f32, by its name there with `change` applied to each letter.
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
        return all;
    }();
    return types;
}

const std::map<std::string, ggml_type> & storage_types() {
    static const auto types = types_by_name<ggml_type>([](int c) { return c; });
    return types;
}

int to_threads(const Napi::Value & value) {
    int64_t threads = integer(value, "threads");
    if (threads < 0 || threads > max_threads) {
        throw error("INVALID_OPTION", "Expected integer between 0 and " + std::to_string(max_threads) +
                                          " for threads but received " + std::to_string(threads));
    }
    return static_cast<int>(threads);
}

weight_entry to_entry(const Napi::Value & value) {
    Napi::Object from = object(value, "an entry of the weight plan");
    weight_entry out;
    out.name = to_text(from.Get("name"), "the name of a weight");
    out.dims = to_shape(from.Get("shape"), out.name);
    out.storage = one_of(from.Get("storage"), "the storage of " + out.name, storage_types());

    Napi::Object source = object(from.Get("source"), "the source of " + out.name);
    out.file = natural(source.Get("file"), "the file of " + out.name);
    out.offset = natural(source.Get("offset"), "the offset of " + out.name);
    out.length = natural(source.Get("length"), "the length of " + out.name);
    out.type = one_of(source.Get("type"), "the type of " + out.name, source_types());
    out.source_dims = to_shape(source.Get("shape"), out.name);
    if (source.Has("strides")) {
        out.strides = to_shape(source.Get("strides"), "the strides of " + out.name);
    }

    Napi::Value transform = from.Get("transform");
    if (!transform.IsUndefined()) {
        Napi::Object how = object(transform, "the transform of " + out.name);
        out.op = one_of<weight_entry::transform>(
            how.Get("op"), "the transform of " + out.name,
            {{"rows", weight_entry::transform::rows}, {"transpose", weight_entry::transform::transpose}});
        if (out.op == weight_entry::transform::rows) {
            out.row_begin = integer(how.Get("start"), "the first row of " + out.name);
            out.row_end = integer(how.Get("end"), "the last row of " + out.name);
            Napi::Value groups = how.Get("groups");
            if (!groups.IsUndefined()) out.groups = integer(groups, "the groups of " + out.name);
        }
    }
    return out;
}

host_tensor to_tensor(const Napi::Value & value, const std::string & name) {
    Napi::Object from = object(value, "the input " + name);
    host_tensor out;
    out.dims = to_shape(from.Get("shape"), "the input " + name);
    Napi::Value data = from.Get("data");
    napi_typedarray_type type =
        data.IsTypedArray() ? data.As<Napi::TypedArray>().TypedArrayType() : napi_uint8_array;
    if (type != napi_float32_array && type != napi_int32_array) {
        expected("a Float32Array or Int32Array", "the data of the input " + name);
    }
    out.type = type == napi_float32_array ? GGML_TYPE_F32 : GGML_TYPE_I32;
    auto view = data.As<Napi::TypedArray>();
    out.size = view.ByteLength();
    // Copied: the caller may write to it while the graph runs.
    out.data.reset(new std::byte[out.size]);
    if (out.size > 0) {
        std::memcpy(out.data.get(), static_cast<std::byte *>(view.ArrayBuffer().Data()) + view.ByteOffset(),
                    out.size);
    }
    return out;
}

// Without a copy where it is large: such a buffer is no longer V8's own, so Electron forbids it, and
// postMessage copies it (Node 20) or refuses to transfer it.
constexpr size_t large = 4 << 20;

Napi::ArrayBuffer to_buffer(Napi::Env env, host_tensor & from) {
    std::byte * data = from.data.get();
    if (from.size >= large) {
        napi_value value = nullptr;
        auto release = [](napi_env, void * owned, void *) { delete[] static_cast<std::byte *>(owned); };
        if (napi_create_external_arraybuffer(env, data, from.size, release, nullptr, &value) == napi_ok) {
            from.data.release();
            return Napi::ArrayBuffer(env, value);
        }
    }
    Napi::ArrayBuffer copy = Napi::ArrayBuffer::New(env, from.size);
    std::memcpy(copy.Data(), data, from.size);
    from.data.reset();
    return copy;
}

}  // namespace

config to_config(const Napi::Value & value) {
    int left = max_values;
    return read_config(value, 0, left);
}

std::string to_text(const Napi::Value & value, const std::string & name) {
    if (!value.IsString()) {
        expected("a string", name);
    }
    return value.As<Napi::String>().Utf8Value();
}

shape to_shape(const Napi::Value & value, const std::string & name) {
    Napi::Array from = array(value, "the shape of " + name);
    if (from.Length() > max_dims) {
        expected("fewer dimensions", "the shape of " + name);
    }
    shape out;
    for (uint32_t i = 0; i < from.Length(); i++) {
        out.push_back(integer(from.Get(i), "the shape of " + name));
    }
    return out;
}

std::map<std::string, shape> to_shapes(const Napi::Value & value) {
    Napi::Object from = object(value, "the shapes");
    Napi::Array names = from.GetPropertyNames();
    std::map<std::string, shape> out;
    for (uint32_t i = 0; i < names.Length(); i++) {
        std::string name = names.Get(i).ToString().Utf8Value();
        out[name] = to_shape(from.Get(name), "the input " + name);
    }
    return out;
}

host_tensors to_tensors(const Napi::Value & value) {
    Napi::Object from = object(value, "the inputs");
    Napi::Array names = from.GetPropertyNames();
    host_tensors out;
    for (uint32_t i = 0; i < names.Length(); i++) {
        std::string name = names.Get(i).ToString().Utf8Value();
        Napi::Value input = from.Get(name);
        if (!input.IsUndefined()) {
            out[name] = to_tensor(input, name);
        }
    }
    return out;
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
    Napi::Object from = object(value, "what to write");
    write_request out;
    out.path = to_text(from.Get("path"), "the path of the output");
    out.plan = to_plan(from.Get("plan"));
    Napi::Array offsets = array(from.Get("offsets"), "the offsets of the output");
    if (offsets.Length() != out.plan.entries.size()) {
        expected("as many offsets as entries", "the output");
    }
    for (uint32_t i = 0; i < offsets.Length(); i++) {
        out.offsets.push_back(natural(offsets.Get(i), "an offset of the output"));
    }
    out.threads = to_threads(from.Get("threads"));
    return out;
}

module_options to_module_options(const Napi::Value & value) {
    Napi::Object from = object(value, "the module's options");
    module_options out;
    out.backend = to_text(from.Get("backend"), "backend");
    out.threads = to_threads(from.Get("threads"));
    out.stock_ops = flag(from, "stockOps");
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
    Napi::Value taps = from.Get("taps");
    if (!taps.IsUndefined()) {
        Napi::Array names = array(taps, "taps");
        for (uint32_t i = 0; i < names.Length(); i++) {
            request.taps.insert(to_text(names.Get(i), "a tap"));
        }
    }
}

Napi::Array from_shape(Napi::Env env, const shape & dims) {
    Napi::Array out = Napi::Array::New(env, dims.size());
    for (uint32_t i = 0; i < dims.size(); i++) {
        out.Set(i, Napi::Number::New(env, static_cast<double>(dims[i])));
    }
    return out;
}

Napi::Object from_tensors(Napi::Env env, host_tensors & tensors) {
    Napi::Object out = Napi::Object::New(env);
    for (auto & [name, t] : tensors) {
        size_t count = t.size / sizeof(float);
        Napi::Value data = t.type == GGML_TYPE_I32
                               ? Napi::Value(Napi::Int32Array::New(env, count, to_buffer(env, t), 0))
                               : Napi::Value(Napi::Float32Array::New(env, count, to_buffer(env, t), 0));
        Napi::Object one = Napi::Object::New(env);
        one.Set("data", data);
        one.Set("shape", from_shape(env, t.dims));
        out.Set(name, one);
    }
    return out;
}

}  // namespace safelight
