#pragma once

#include <napi.h>

namespace safelight {

// NativeAddon.writeWeights in lib/binding/types.ts: converts weights and writes them to a file on a new
// thread.
Napi::Value js_write_weights(const Napi::CallbackInfo & info);

}  // namespace safelight
