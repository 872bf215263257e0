#include "addon/tensor_handle.h"

#include <utility>

#include "addon/environment.h"
#include "addon/promise_worker.h"
#include "addon/values/checked.h"
#include "addon/values/values.h"

namespace safelight {

namespace {

// Type tag that distinguishes our handles from objects wrapped by other addons. It contains an address, so
// that it also differs between the builds of this addon for different backends.
const napi_type_tag & tag() {
    static char address = 0;
    static const napi_type_tag value = {0x5afe11647e4504aaULL, reinterpret_cast<uintptr_t>(&address)};
    return value;
}

class read_worker : public promise_worker {
  public:
    read_worker(Napi::Env env, device_tensor value)
        : promise_worker(env), value_(std::move(value)), thread_(environment::of(env).start_worker()) {}

    ~read_worker() override { thread_->close(); }

    Napi::Object start() { return promise_worker::start(*thread_); }

  protected:
    void execute() override { read_ = value_.read(); }
    Napi::Value result(Napi::Env env) override { return from_tensor(env, read_); }

  private:
    device_tensor value_;
    host_tensor read_;
    std::shared_ptr<worker> thread_;
};

}  // namespace

Napi::Function tensor_handle::define(Napi::Env env) {
    return DefineClass(
        env, "TensorHandle",
        {InstanceMethod("slice", &tensor_handle::slice), InstanceMethod("read", &tensor_handle::read),
         InstanceMethod("dispose", &tensor_handle::dispose)});
}

Napi::Object tensor_handle::create(Napi::Env env, device_tensor value) {
    // Pass the tensor through the environment, so that JavaScript cannot construct a handle: see
    // native_module::create().
    std::shared_ptr<device_tensor> & pending = environment::of(env).pending_tensor;
    pending = std::make_shared<device_tensor>(std::move(value));
    try {
        Napi::Object handle = environment::of(env).tensor_class().New({});
        const device_tensor & stored = *of(handle);
        handle.Set("shape", from_shape(env, stored.dims()));
        handle.Set("bytes", Napi::Number::New(env, static_cast<double>(stored.bytes())));
        handle.Set("type", stored.type() == GGML_TYPE_I32 ? "i32" : "f32");
        handle.Set("device", ggml_backend_dev_name(stored.device()));
        return handle;
    } catch (...) {
        pending.reset();
        throw;
    }
}

const device_tensor * tensor_handle::of(const Napi::Value & value) {
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&tag())) {
        return nullptr;
    }
    return &Unwrap(value.As<Napi::Object>())->value();
}

tensor_handle::tensor_handle(const Napi::CallbackInfo & info) : Napi::ObjectWrap<tensor_handle>(info) {
    std::shared_ptr<device_tensor> pending = std::move(environment::of(info.Env()).pending_tensor);
    if (!pending) {
        throw Napi::TypeError::New(
            info.Env(), "A tensor handle cannot be constructed; runs return them for kept outputs");
    }
    value_ = std::move(*pending);
    info.This().As<Napi::Object>().TypeTag(&tag());
    Napi::MemoryManagement::AdjustExternalMemory(Env(), static_cast<int64_t>(value_->bytes()));
}

tensor_handle::~tensor_handle() {
    release();
}

const device_tensor & tensor_handle::value() const {
    if (!value_) {
        throw error("DISPOSED", "The tensor was disposed and cannot be used any more");
    }
    return *value_;
}

void tensor_handle::release() {
    if (value_) {
        Napi::MemoryManagement::AdjustExternalMemory(Env(), -static_cast<int64_t>(value_->bytes()));
        value_.reset();
    }
}

Napi::Value tensor_handle::slice(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        int64_t from = integer(info[0], "the first row"), to = integer(info[1], "the end of the rows");
        return create(info.Env(), value().slice(from, to));
    });
}

Napi::Value tensor_handle::read(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        return std::make_shared<read_worker>(info.Env(), value())->start();
    });
}

Napi::Value tensor_handle::dispose(const Napi::CallbackInfo & info) {
    release();
    return info.Env().Undefined();
}

}  // namespace safelight
