#pragma once

#include <napi.h>

namespace safelight {

// NativeAddon.writeWeights of lib/binding/types.ts: converts weights into a file, on a thread of its own.
Napi::Value write_weights_of(const Napi::CallbackInfo & info);

}  // namespace safelight
