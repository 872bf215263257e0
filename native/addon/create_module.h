#pragma once

#include <napi.h>

namespace safelight {

// NativeAddon.createModule in lib/binding/types.ts: loads a module on its new thread.
Napi::Value create_module(const Napi::CallbackInfo & info);

}  // namespace safelight
