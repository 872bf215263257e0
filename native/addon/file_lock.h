#pragma once

#include <napi.h>

namespace safelight {

// NativeAddon.tryLock in lib/binding/types.ts: non-blocking flock(2) on a file descriptor opened by
// JavaScript.
Napi::Value js_try_lock(const Napi::CallbackInfo & info);

}  // namespace safelight
