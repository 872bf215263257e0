#pragma once

#include <napi.h>

namespace safelight {

// NativeAddon.tryLock in lib/binding/types.ts.
Napi::Value js_try_lock(const Napi::CallbackInfo & info);

}  // namespace safelight
