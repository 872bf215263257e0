#pragma once

#include <napi.h>

#include <optional>

#include "runtime/device_tensor.h"

namespace safelight {

// NativeTensorHandle in lib/binding/types.ts: a JavaScript reference to a tensor on its device.
class tensor_handle : public Napi::ObjectWrap<tensor_handle> {
  public:
    static Napi::Function define(Napi::Env env);
    static Napi::Object create(Napi::Env env, device_tensor value);
    // Returns the tensor of a handle, or null for any other value. Throws DISPOSED.
    static const device_tensor * of(const Napi::Value & value);

    // Called by Node-API. Throws unless called through create().
    explicit tensor_handle(const Napi::CallbackInfo & info);
    ~tensor_handle() override;

  private:
    Napi::Value slice(const Napi::CallbackInfo & info);
    Napi::Value read(const Napi::CallbackInfo & info);
    Napi::Value dispose(const Napi::CallbackInfo & info);

    const device_tensor & value() const;  // throws DISPOSED
    void release();

    std::optional<device_tensor> value_;  // empty once disposed
};

}  // namespace safelight
