#pragma once

#include <napi.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>

#include "runtime/worker.h"

namespace safelight {

class device_tensor;
class promise_worker;
struct module_host;

// Queue of messages from any thread to the JavaScript thread. A Node-API thread-safe function must not be
// called after the teardown of its environment, so post() and close() share a mutex.
class mailbox {
  public:
    using message = std::function<void(Napi::Env)>;

    explicit mailbox(Napi::Env env);

    void post(message callback);  // any thread; the message is dropped once closed
    // The following must be called on the JavaScript thread.
    void close();
    void keep_loop_alive(bool alive);

  private:
    static void deliver(napi_env env, napi_value, void * context, void *);

    napi_env env_;
    std::mutex guard_;
    napi_threadsafe_function signal_ = nullptr;  // null once closed
    std::deque<message> waiting_;
};

// State of the addon in one JavaScript environment: the main thread or a thread of worker_threads. The addon
// has no static state. Used on the JavaScript thread only.
class environment {
  public:
    static void create(Napi::Env env);
    static environment & of(Napi::Env env);
    ~environment();

    const std::shared_ptr<mailbox> & mail() const { return mail_; }
    Napi::FunctionReference & module_class() { return module_class_; }
    Napi::FunctionReference & tensor_class() { return tensor_class_; }

    // Starts a thread that the environment joins after it has ended, at the latest at teardown.
    std::shared_ptr<worker> start_worker();
    // Arguments for the constructors of native_module and tensor_handle, set only while those are called.
    std::shared_ptr<module_host> pending_module;
    std::shared_ptr<device_tensor> pending_tensor;

    // Keeps a call and the event loop alive until end().
    void begin(std::shared_ptr<promise_worker> call);
    void end(promise_worker * call);
    // True while calls are in progress.
    bool busy() const { return !calls_.empty(); }

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
