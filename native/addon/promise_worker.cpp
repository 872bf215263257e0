#include "addon/promise_worker.h"

#include <new>

#include "addon/environment.h"
#include "runtime/error.h"

namespace safelight {

namespace {

Napi::Error make_error(Napi::Env env, const char * code, const std::string & message) {
    Napi::Error out = Napi::Error::New(env, message);
    out.Set("code", Napi::String::New(env, code));
    return out;
}

}  // namespace

Napi::Error to_javascript(Napi::Env env, std::exception_ptr failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const Napi::Error & e) {
        return e;
    } catch (const error & e) {
        return make_error(env, e.code(), e.what());
    } catch (const std::bad_alloc &) {
        return make_error(env, "OUT_OF_MEMORY", "The process is out of memory");
    } catch (const std::exception & e) {
        return make_error(env, "INTERNAL", e.what());
    } catch (...) {
        return make_error(env, "INTERNAL", "An object that is not an exception was thrown");
    }
}

promise_worker::promise_worker(Napi::Env env)
    : env_(env), deferred_(Napi::Promise::Deferred::New(env)), mail_(environment::of(env).mail()) {}

Napi::Object promise_worker::start(worker & thread) {
    std::shared_ptr<promise_worker> self = shared_from_this();
    std::weak_ptr<promise_worker> weak = self;
    Napi::Env env(env_);
    Napi::Object task = Napi::Object::New(env);
    task.Set("promise", deferred_.Promise());
    task.Set("cancel", Napi::Function::New(env, [weak](const Napi::CallbackInfo &) {
                 if (auto call = weak.lock()) {
                     call->token_.abort();
                 }
             }));
    environment::of(env).begin(self);
    // Pass a raw pointer: the environment keeps the call alive until it is settled, and its last reference
    // must be released on this thread.
    promise_worker * raw = self.get();
    if (!thread.push([raw] { raw->run(); })) {
        token_.dispose();
        raw->run();
    }
    return task;
}

void promise_worker::run() {
    try {
        token_.throw_if_cancelled();
        execute();
    } catch (...) {
        failure_ = std::current_exception();
    }
    mail_->post([this](Napi::Env env) { settle(env); });
}

void promise_worker::post(std::function<void(Napi::Env)> message) {
    mail_->post([this, message = std::move(message)](Napi::Env env) {
        if (token_.cancelled()) {
            return;
        }
        try {
            message(env);
        } catch (const Napi::Error & e) {
            if (thrown_.IsEmpty()) {
                thrown_ = Napi::Persistent(e.Value().As<Napi::Value>());
            }
            token_.abort();
        }
    });
}

void promise_worker::settle(Napi::Env env) {
    std::shared_ptr<promise_worker> self = shared_from_this();
    try {
        try {
            if (!thrown_.IsEmpty()) {
                deferred_.Reject(thrown_.Value());
            } else if (failure_) {
                deferred_.Reject(to_javascript(env, failure_).Value());
            } else {
                deferred_.Resolve(result(env));
            }
        } catch (...) {
            deferred_.Reject(to_javascript(env, std::current_exception()).Value());
        }
    } catch (...) {
        // Occurs only during teardown, when the promise can no longer be settled.
    }
    environment::of(env).end(this);
}

}  // namespace safelight
