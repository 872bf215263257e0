#include <ggml.h>
#include <napi.h>

#include "addon/create_module.h"
#include "addon/environment.h"
#include "addon/file_lock.h"
#include "addon/promise_worker.h"
#include "addon/values/checked.h"
#include "addon/values/values.h"
#include "addon/write_weights.h"
#include "kernels/kernels.h"
#include "kernels/processor.h"
#include "runtime/device/device.h"
#include "runtime/graph/recorder.h"
#include "runtime/platform/process.h"
#include "runtime/threads.h"

// Registers the addon's functions (NativeAddon in lib/binding/types.ts).

namespace safelight {

namespace {

Napi::Value version(const Napi::CallbackInfo & info) {
    Napi::Object out = Napi::Object::New(info.Env());
    out.Set("safelight", SAFELIGHT_VERSION);
    out.Set("ggml", ggml_version());
    return out;
}

Napi::Value backends(const Napi::CallbackInfo & info) {
    Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        std::vector<device_info> found = devices();
        Napi::Array out = Napi::Array::New(env, found.size());
        for (uint32_t i = 0; i < found.size(); i++) {
            Napi::Object memory = Napi::Object::New(env);
            memory.Set("free", Napi::Number::New(env, static_cast<double>(found[i].memory_free)));
            memory.Set("total", Napi::Number::New(env, static_cast<double>(found[i].memory_total)));
            Napi::Object item = Napi::Object::New(env);
            item.Set("name", found[i].name);
            item.Set("device", found[i].device);
            item.Set("description", found[i].description);
            item.Set("type", found[i].type);
            item.Set("memory", memory);
            if (found[i].name == "cpu") {
                const kernels::table & k = kernels::active();
                Napi::Array products = Napi::Array::New(env);
                for (const auto & [name, has] :
                     {std::pair("f32", true), {"bf16", k.bf16}, {"int8", k.int8}}) {
                    if (has) products.Set(products.Length(), name);
                }
                item.Set("kernels", k.name);
                item.Set("products", products);
            }
            out.Set(i, item);
        }
        return out;
    });
}

Napi::Value js_skipped_devices(const Napi::CallbackInfo & info) {
    Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        std::vector<skipped_device> found = skipped_devices();
        Napi::Array out = Napi::Array::New(env, found.size());
        for (uint32_t i = 0; i < found.size(); i++) {
            Napi::Object item = Napi::Object::New(env);
            item.Set("description", found[i].description);
            item.Set("reason", found[i].reason);
            out.Set(i, item);
        }
        return out;
    });
}

Napi::Value js_try_device(const Napi::CallbackInfo & info) {
    Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        try_device(to_text(info[0], "the backend"), to_text(info[1], "the device"));
        return env.Undefined();
    });
}

Napi::Value js_physical_cores(const Napi::CallbackInfo & info) {
    return Napi::Number::New(info.Env(), physical_cores());
}

Napi::Value js_busy(const Napi::CallbackInfo & info) {
    return Napi::Boolean::New(info.Env(), environment::of(info.Env()).busy());
}

Napi::Value js_exit(const Napi::CallbackInfo & info) {
    end_process(info[0].ToNumber().Int32Value());
}

const char * role_name(weight_role role) {
    switch (role) {
        case weight_role::matrix:
            return "matrix";
        case weight_role::conv:
            return "conv";
        case weight_role::embedding:
            return "embedding";
        case weight_role::vector:
            return "vector";
    }
    return "vector";
}

Napi::Value js_requirements(const Napi::CallbackInfo & info) {
    Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        std::string kind = to_text(info[0], "the kind of module");
        std::vector<weight_requirement> found = requirements(*make_architecture(kind, to_config(info[1])));
        Napi::Array out = Napi::Array::New(env, found.size());
        for (uint32_t i = 0; i < found.size(); i++) {
            Napi::HandleScope scope(env);
            Napi::Object item = Napi::Object::New(env);
            item.Set("name", found[i].name);
            item.Set("shape", from_shape(env, found[i].dims));
            item.Set("role", role_name(found[i].role));
            out.Set(i, item);
        }
        return out;
    });
}

// Discards ggml's log messages, which would go to stderr; its failures are reported by return values.
void silence(ggml_log_level, const char *, void *) {}

Napi::Object init(Napi::Env env, Napi::Object exports) {
    // lib/binding/cpu.ts can check it beforehand only where /proc/cpuinfo exists.
    if (!kernels::is_supported_processor()) {
        throw Napi::Error::New(env, "this processor has no AVX2, BMI2, FMA or F16C (x86-64-v3)");
    }
    ggml_log_set(silence, nullptr);
    // On a failed assertion ggml forks this multi-threaded process to print a backtrace; the child processes
    // hang and outlive it.
    set_default_variable("GGML_NO_BACKTRACE", "1");
#ifdef __APPLE__
    // Metal's residency sets assert at exit that every buffer was freed, but process.exit frees none.
    set_default_variable("GGML_METAL_NO_RESIDENCY", "1");
#endif
    environment::create(env);
    exports.Set("version", Napi::Function::New(env, version, "version"));
    exports.Set("backends", Napi::Function::New(env, backends, "backends"));
    exports.Set("skippedDevices", Napi::Function::New(env, js_skipped_devices, "skippedDevices"));
    exports.Set("tryDevice", Napi::Function::New(env, js_try_device, "tryDevice"));
    exports.Set("physicalCores", Napi::Function::New(env, js_physical_cores, "physicalCores"));
    exports.Set("busy", Napi::Function::New(env, js_busy, "busy"));
    exports.Set("exit", Napi::Function::New(env, js_exit, "exit"));
    exports.Set("requirements", Napi::Function::New(env, js_requirements, "requirements"));
    exports.Set("createModule", Napi::Function::New(env, create_module, "createModule"));
    exports.Set("writeWeights", Napi::Function::New(env, js_write_weights, "writeWeights"));
    exports.Set("tryLock", Napi::Function::New(env, js_try_lock, "tryLock"));
    return exports;
}

NODE_API_MODULE(safelight, init)

}  // namespace

}  // namespace safelight
