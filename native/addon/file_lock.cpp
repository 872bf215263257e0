#include "addon/file_lock.h"

#include <memory>

#include "addon/promise_worker.h"
#include "addon/values/checked.h"
#include "runtime/platform/file_lock.h"

namespace safelight {

Napi::Value js_try_lock(const Napi::CallbackInfo & info) {
    Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        auto lock = std::make_shared<file_lock>(to_text(info[0], "the path of a lock"),
                                                natural(info[1], "the locked byte"));
        switch (lock->state()) {
            case lock_state::busy:
                return Napi::String::New(env, "busy");
            case lock_state::unsupported:
                return Napi::String::New(env, "unsupported");
            case lock_state::locked:
                break;
        }
        Napi::Object out = Napi::Object::New(env);
        // The function owns the lock, so that garbage collection releases one that was forgotten.
        out.Set("release", Napi::Function::New(env, [lock](const Napi::CallbackInfo &) { lock->release(); }));
        return out;
    });
}

}  // namespace safelight
