#pragma once

#include <napi.h>

#include <optional>

#include "runtime/kept_tensor.h"

namespace safelight {

// NativeTensorHandle of lib/binding/types.ts: a tensor that stays on its device.
class tensor_handle : public Napi::ObjectWrap<tensor_handle> {
  public:
    static Napi::Function define(Napi::Env env);
    static Napi::Object create(Napi::Env env, kept_tensor kept);
    // The tensor of a handle, or null for another value. Throws DISPOSED.
    static const kept_tensor * of(const Napi::Value & value);

    // Called by Node-API, through create() only.
    explicit tensor_handle(const Napi::CallbackInfo & info);
    ~tensor_handle() override;

  private:
    Napi::Value slice(const Napi::CallbackInfo & info);
    Napi::Value read(const Napi::CallbackInfo & info);
    Napi::Value dispose(const Napi::CallbackInfo & info);

    const kept_tensor & kept() const;  // throws DISPOSED
    void release();

    std::optional<kept_tensor> kept_;  // nothing once disposed
};

}  // namespace safelight
