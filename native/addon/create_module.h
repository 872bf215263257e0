#pragma once

#include <napi.h>

namespace safelight {

// NativeAddon.createModule of lib/binding/types.ts: loads on the new module's own thread.
Napi::Value create_module(const Napi::CallbackInfo & info);

}  // namespace safelight
