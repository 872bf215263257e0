#pragma once

#include <napi.h>

#include <memory>
#include <set>

#include "runtime/module.h"
#include "runtime/worker.h"

namespace safelight {

class promise_worker;

// A loaded module and its thread.
struct module_host {
    std::unique_ptr<loaded_module> loaded;
    std::shared_ptr<worker> thread;

    // Lets the thread finish its queue, free the module and end.
    static void close(const std::shared_ptr<module_host> & host);
};

// NativeModuleHandle in lib/binding/types.ts.
class native_module : public Napi::ObjectWrap<native_module> {
  public:
    static Napi::Function define(Napi::Env env);
    static Napi::Object create(Napi::Env env, std::shared_ptr<module_host> host);

    // Called by Node-API. Throws unless called through create().
    explicit native_module(const Napi::CallbackInfo & info);
    ~native_module() override;

    void begin(promise_worker * call) { calls_.insert(call); }
    void end(promise_worker * call);

  private:
    Napi::Value run(const Napi::CallbackInfo & info);
    Napi::Value needed(const Napi::CallbackInfo & info);
    Napi::Value nodes(const Napi::CallbackInfo & info);
    Napi::Value set_patches(const Napi::CallbackInfo & info);
    Napi::Value write_packed(const Napi::CallbackInfo & info);
    Napi::Value release_session(const Napi::CallbackInfo & info);
    Napi::Value memory(const Napi::CallbackInfo & info);
    Napi::Value dispose(const Napi::CallbackInfo & info);

    Napi::Value start(const std::shared_ptr<promise_worker> & call);
    module_host & host() const;  // throws DISPOSED
    void release();
    void report_external_memory(int64_t bytes);

    std::shared_ptr<module_host> host_;  // null once disposed
    std::set<promise_worker *> calls_;
    int64_t reported_bytes_ = 0;  // external memory of this object as last reported to V8's garbage collector
};

}  // namespace safelight
