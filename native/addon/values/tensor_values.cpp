#include <cstring>

#include "addon/tensor_handle.h"
#include "addon/values/checked.h"
#include "addon/values/values.h"

namespace safelight {

namespace {

constexpr uint32_t max_dims = 16;  // more than any tensor has

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
    // Copy the data, because the caller may write to it while the graph runs.
    out.data.reset(new std::byte[out.size]);
    if (out.size > 0) {
        std::memcpy(out.data.get(), static_cast<std::byte *>(view.ArrayBuffer().Data()) + view.ByteOffset(),
                    out.size);
    }
    return out;
}

run_input to_input(const Napi::Value & value, const std::string & name) {
    if (const device_tensor * kept = tensor_handle::of(value)) {
        return run_input({*kept}, name);
    }
    if (!value.IsArray()) {
        return run_input(to_tensor(value, name));
    }
    auto from = value.As<Napi::Array>();
    std::vector<device_tensor> parts;
    for (uint32_t i = 0; i < from.Length(); i++) {
        const device_tensor * part = tensor_handle::of(from.Get(i));
        if (part == nullptr) {
            expected("tensors kept by runs on this device", "the input " + name);
        }
        parts.push_back(*part);
    }
    return run_input(std::move(parts), name);
}

// From this size on, data is passed to JavaScript without a copy. Such an external buffer has disadvantages:
// Electron forbids it, and postMessage copies it (Node 20) or refuses to transfer it.
constexpr size_t external_threshold = 4 << 20;

Napi::ArrayBuffer to_buffer(Napi::Env env, host_tensor & from) {
    std::byte * data = from.data.get();
    if (from.size >= external_threshold) {
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

shape to_shape(const Napi::Value & value, const std::string & name) {
    Napi::Array from = array(value, "the shape of " + name);
    if (from.Length() > max_dims) {
        expected("at most " + std::to_string(max_dims) + " dimensions", "the shape of " + name);
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

run_inputs to_inputs(const Napi::Value & value) {
    Napi::Object from = object(value, "the inputs");
    Napi::Array names = from.GetPropertyNames();
    run_inputs out;
    for (uint32_t i = 0; i < names.Length(); i++) {
        std::string name = names.Get(i).ToString().Utf8Value();
        Napi::Value input = from.Get(name);
        if (!input.IsUndefined()) {
            out[name] = to_input(input, name);
        }
    }
    return out;
}

Napi::Array from_shape(Napi::Env env, const shape & dims) {
    Napi::Array out = Napi::Array::New(env, dims.size());
    for (uint32_t i = 0; i < dims.size(); i++) {
        out.Set(i, Napi::Number::New(env, static_cast<double>(dims[i])));
    }
    return out;
}

Napi::Object from_tensor(Napi::Env env, host_tensor & from) {
    size_t count = from.size / sizeof(float);
    Napi::Value data = from.type == GGML_TYPE_I32
                           ? Napi::Value(Napi::Int32Array::New(env, count, to_buffer(env, from), 0))
                           : Napi::Value(Napi::Float32Array::New(env, count, to_buffer(env, from), 0));
    Napi::Object out = Napi::Object::New(env);
    out.Set("data", data);
    out.Set("shape", from_shape(env, from.dims));
    return out;
}

Napi::Object from_tensors(Napi::Env env, host_tensors & tensors) {
    Napi::Object out = Napi::Object::New(env);
    for (auto & [name, value] : tensors) {
        out.Set(name, from_tensor(env, value));
    }
    return out;
}

}  // namespace safelight
