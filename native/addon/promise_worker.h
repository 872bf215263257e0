#pragma once

#include <napi.h>

#include <memory>

#include "runtime/cancel.h"
#include "runtime/worker.h"

namespace safelight {

// Converts an exception to a JavaScript error with `.code`.
Napi::Error to_javascript(Napi::Env env, std::exception_ptr failure);

// Runs `body` and rethrows its exceptions as JavaScript exceptions. For the addon's synchronous functions.
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

// An asynchronous call: runs on a worker thread and settles one promise. A subclass implements execute() and
// result(); their exceptions reject the promise.
class promise_worker : public std::enable_shared_from_this<promise_worker> {
  public:
    explicit promise_worker(Napi::Env env);
    virtual ~promise_worker() = default;

    // Queues the call on `thread` and returns the JavaScript object { promise, cancel }.
    Napi::Object start(worker & thread);
    cancel_token & token() { return token_; }

  protected:
    virtual void execute() = 0;  // runs on the worker thread; must not use JavaScript values
    virtual Napi::Value result(Napi::Env env) = 0;  // runs on the JavaScript thread
    // Runs `message` on the JavaScript thread during execute(). Messages of a cancelled call do not run. An
    // exception of `message` cancels the call and rejects the promise.
    void post(std::function<void(Napi::Env)> message);

  private:
    void run();
    void settle(Napi::Env env);

    napi_env env_;
    Napi::Promise::Deferred deferred_;
    cancel_token token_;
    std::exception_ptr failure_;
    Napi::Reference<Napi::Value>
        thrown_;  // exception of a message, such as one thrown by a progress callback
    std::shared_ptr<class mailbox> mail_;
};

}  // namespace safelight
