#pragma once

#include <napi.h>

namespace safelight {

// NativeAddon.tryLock of lib/binding/types.ts: flock(2) on a descriptor that JavaScript opened, without
// waiting.
Napi::Value try_lock_of(const Napi::CallbackInfo & info);

}  // namespace safelight
