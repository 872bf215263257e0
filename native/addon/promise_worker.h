#pragma once

#include <napi.h>

#include <memory>

#include "runtime/cancel.h"
#include "runtime/worker.h"

namespace safelight {

// A JavaScript error for whatever was thrown, with `.code`.
Napi::Error to_javascript(Napi::Env env, std::exception_ptr failure);

// Runs `body` and turns what it throws into a JavaScript exception: for the addon's synchronous functions.
template <typename F>
auto guarded(Napi::Env env, F body) -> decltype(body()) {
    try {
        return body();
    } catch (const Napi::Error &) {
        throw;
    } catch (...) {
        throw to_javascript(env, std::current_exception());
    }
}

// One call that works on a module's thread and settles one promise. A subclass writes execute() and result();
// exceptions of both become the rejection.
class promise_worker : public std::enable_shared_from_this<promise_worker> {
  public:
    explicit promise_worker(Napi::Env env);
    virtual ~promise_worker() = default;

    // Queues the call; gives { promise, cancel } to JavaScript.
    Napi::Object start(worker & thread);
    cancel_token & token() { return token_; }

  protected:
    virtual void execute() = 0;                     // on the thread; no JavaScript
    virtual Napi::Value result(Napi::Env env) = 0;  // on the JavaScript thread
    // Posts to the JavaScript thread while execute() runs, where a call that was cancelled meanwhile runs no
    // more messages. What `message` throws cancels the call and becomes its rejection.
    void post(std::function<void(Napi::Env)> message);

  private:
    void run();
    void settle(Napi::Env env);

    napi_env env_;
    Napi::Promise::Deferred deferred_;
    cancel_token token_;
    std::exception_ptr failure_;
    Napi::Reference<Napi::Value> thrown_;  // by a callback of the caller's
    std::shared_ptr<class mailbox> mail_;
};

}  // namespace safelight
