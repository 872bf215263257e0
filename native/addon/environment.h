#pragma once

#include <napi.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>

#include "runtime/worker.h"

namespace safelight {

class kept_tensor;
class promise_worker;
struct module_host;

// Messages from any thread to the JavaScript thread. Node-API's thread-safe function must not be called once
// its environment is torn down, so calls and closing share a mutex.
class mailbox {
  public:
    using message = std::function<void(Napi::Env)>;

    explicit mailbox(Napi::Env env);

    void post(message what);  // any thread; dropped once closed
    // JavaScript thread only.
    void close();
    void keep_loop_alive(bool alive);

  private:
    static void deliver(napi_env env, napi_value, void * context, void *);

    napi_env env_;
    std::mutex guard_;
    napi_threadsafe_function signal_ = nullptr;  // null once closed
    std::deque<message> waiting_;
};

// Everything the addon holds for one JavaScript environment (the main thread, or one of worker_threads);
// nothing is static. All of it is used on the JavaScript thread only.
class environment {
  public:
    static void create(Napi::Env env);
    static environment & of(Napi::Env env);
    ~environment();

    const std::shared_ptr<mailbox> & mail() const { return mail_; }
    Napi::FunctionReference & module_class() { return module_class_; }
    Napi::FunctionReference & tensor_class() { return tensor_class_; }

    // A thread that the environment joins when it has ended, or at the latest at teardown.
    std::shared_ptr<worker> start_worker();
    // What the constructors of native_module and tensor_handle take; set for that moment only.
    std::shared_ptr<module_host> handing_over;
    std::shared_ptr<kept_tensor> handing_over_tensor;

    // A call under way: kept alive, with the event loop, until end().
    void begin(std::shared_ptr<promise_worker> call);
    void end(promise_worker * call);

  private:
    explicit environment(Napi::Env env);
    static void teardown(void * self);

    napi_env env_;
    std::shared_ptr<mailbox> mail_;
    std::set<std::shared_ptr<worker>> workers_;
    std::set<std::shared_ptr<promise_worker>> calls_;
    Napi::FunctionReference module_class_, tensor_class_;
};

}  // namespace safelight
