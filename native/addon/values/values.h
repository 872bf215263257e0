#pragma once

#include <napi.h>

#include <optional>
#include <set>

#include "runtime/module.h"
#include "runtime/weights/entry_blends.h"

namespace safelight {

// Arguments of NativeAddon.writeWeights.
struct write_request {
    std::string path;
    weight_plan plan;
    std::vector<uint64_t> offsets;
    std::optional<patch_plan> patches;  // of entries, by name
    std::set<std::string> transposed;   // patched entries that are written as columns x rows
    std::optional<blend_plan> blends;   // of entries, instead of patches
    int threads = 0;
};

// Conversions between JavaScript and C++ values. Values that do not match the types in lib/binding/types.ts
// throw INVALID_OPTION.

config to_config(const Napi::Value & value);
shape to_shape(const Napi::Value & value, const std::string & name);
std::map<std::string, shape> to_shapes(const Napi::Value & value);
run_inputs to_inputs(const Napi::Value & value);
ggml_type to_storage(const Napi::Value & value, const std::string & name);
weight_plan to_plan(const Napi::Value & value);
patch_plan to_patch_plan(const Napi::Value & value);
blend_plan to_blend_plan(const Napi::Value & value);
write_request to_write_request(const Napi::Value & value);
module_options to_module_options(const Napi::Value & value);
void read_run_options(const Napi::Value & value, run_request & request);

Napi::Array from_shape(Napi::Env env, const shape & dims);
// Transfers large data to JavaScript without a copy if the engine allows it (Electron does not).
Napi::Object from_tensor(Napi::Env env, host_tensor & from);
Napi::Object from_tensors(Napi::Env env, host_tensors & tensors);

}  // namespace safelight
