#include "addon/tensor_handle.h"

#include <utility>

#include "addon/environment.h"
#include "addon/promise_worker.h"
#include "addon/values/checked.h"
#include "addon/values/values.h"

namespace safelight {

namespace {

// Tells our handles from objects that other addons wrap, among them this one linked for another backend: its
// copy of `own` lies elsewhere.
const napi_type_tag & tag() {
    static char own = 0;
    static const napi_type_tag made = {0x5afe11647e4504aaULL, reinterpret_cast<uintptr_t>(&own)};
    return made;
}

class read_worker : public promise_worker {
  public:
    read_worker(Napi::Env env, kept_tensor kept)
        : promise_worker(env), kept_(std::move(kept)), thread_(environment::of(env).start_worker()) {}

    ~read_worker() override { thread_->close(); }

    Napi::Object start() { return promise_worker::start(*thread_); }

  protected:
    void execute() override { read_ = kept_.read(); }
    Napi::Value result(Napi::Env env) override { return from_tensor(env, read_); }

  private:
    kept_tensor kept_;
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

Napi::Object tensor_handle::create(Napi::Env env, kept_tensor kept) {
    // By a way that JavaScript, which can reach the class, cannot take: see native_module::create().
    std::shared_ptr<kept_tensor> & way = environment::of(env).handing_over_tensor;
    way = std::make_shared<kept_tensor>(std::move(kept));
    try {
        Napi::Object made = environment::of(env).tensor_class().New({});
        const kept_tensor & own = *of(made);
        made.Set("shape", from_shape(env, own.dims()));
        made.Set("bytes", Napi::Number::New(env, static_cast<double>(own.bytes())));
        made.Set("type", own.type() == GGML_TYPE_I32 ? "i32" : "f32");
        made.Set("device", ggml_backend_dev_name(own.device()));
        return made;
    } catch (...) {
        way.reset();
        throw;
    }
}

const kept_tensor * tensor_handle::of(const Napi::Value & value) {
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&tag())) {
        return nullptr;
    }
    return &Unwrap(value.As<Napi::Object>())->kept();
}

tensor_handle::tensor_handle(const Napi::CallbackInfo & info) : Napi::ObjectWrap<tensor_handle>(info) {
    std::shared_ptr<kept_tensor> given = std::move(environment::of(info.Env()).handing_over_tensor);
    if (!given) {
        throw Napi::TypeError::New(info.Env(), "Tensors are kept by a run");
    }
    kept_ = std::move(*given);
    info.This().As<Napi::Object>().TypeTag(&tag());
    Napi::MemoryManagement::AdjustExternalMemory(Env(), static_cast<int64_t>(kept_->bytes()));
}

tensor_handle::~tensor_handle() {
    release();
}

const kept_tensor & tensor_handle::kept() const {
    if (!kept_) {
        throw error("DISPOSED", "The tensor was disposed and cannot be used any more");
    }
    return *kept_;
}

void tensor_handle::release() {
    if (kept_) {
        Napi::MemoryManagement::AdjustExternalMemory(Env(), -static_cast<int64_t>(kept_->bytes()));
        kept_.reset();
    }
}

Napi::Value tensor_handle::slice(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        int64_t from = integer(info[0], "the first row"), to = integer(info[1], "the end of the rows");
        return create(info.Env(), kept().slice(from, to));
    });
}

Napi::Value tensor_handle::read(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        return std::make_shared<read_worker>(info.Env(), kept())->start();
    });
}

Napi::Value tensor_handle::dispose(const Napi::CallbackInfo & info) {
    release();
    return info.Env().Undefined();
}

}  // namespace safelight
