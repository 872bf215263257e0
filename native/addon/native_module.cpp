#include "addon/native_module.h"

#include "addon/checked.h"
#include "addon/environment.h"
#include "addon/promise_worker.h"
#include "addon/values.h"
#include "runtime/memory.h"

namespace safelight {

namespace {

class run_worker : public promise_worker {
  public:
    run_worker(native_module & owner, std::shared_ptr<module_host> host, run_request request)
        : promise_worker(owner.Env()), owner_(owner), host_(std::move(host)), request_(std::move(request)) {
        owner_.begin(this);
        handle_ = Napi::Persistent(owner_.Value());  // not collected while it runs
    }

    ~run_worker() override { owner_.end(this); }

  protected:
    void execute() override { result_ = host_->loaded->run(request_, token()); }

    Napi::Value result(Napi::Env env) override {
        Napi::Object out = Napi::Object::New(env);
        out.Set("outputs", from_tensors(env, result_.outputs));
        out.Set("taps", from_tensors(env, result_.taps));
        Napi::Object timings = Napi::Object::New(env);
        timings.Set("build", Napi::Number::New(env, result_.build_ms));
        timings.Set("compute", Napi::Number::New(env, result_.compute_ms));
        if (result_.timed) {
            Napi::Object nodes = Napi::Object::New(env);
            for (const auto & [name, ms] : result_.nodes) {
                nodes.Set(name, Napi::Number::New(env, ms));
            }
            timings.Set("nodes", nodes);
        }
        out.Set("timings", timings);
        return out;
    }

  private:
    native_module & owner_;
    Napi::ObjectReference handle_;
    std::shared_ptr<module_host> host_;
    run_request request_;
    run_result result_;
};

class needed_worker : public promise_worker {
  public:
    needed_worker(native_module & owner, std::shared_ptr<module_host> host, std::string entry,
                  std::map<std::string, shape> inputs, config params, std::string patches)
        : promise_worker(owner.Env()),
          owner_(owner),
          host_(std::move(host)),
          entry_(std::move(entry)),
          inputs_(std::move(inputs)),
          params_(std::move(params)),
          patches_(std::move(patches)) {
        owner_.begin(this);
        handle_ = Napi::Persistent(owner_.Value());
    }

    ~needed_worker() override { owner_.end(this); }

  protected:
    void execute() override { bytes_ = host_->loaded->needed(entry_, inputs_, params_, patches_); }
    Napi::Value result(Napi::Env env) override { return Napi::Number::New(env, static_cast<double>(bytes_)); }

  private:
    native_module & owner_;
    Napi::ObjectReference handle_;
    std::shared_ptr<module_host> host_;
    std::string entry_;
    std::map<std::string, shape> inputs_;
    config params_;
    std::string patches_;
    uint64_t bytes_ = 0;
};

class patch_worker : public promise_worker {
  public:
    patch_worker(native_module & owner, std::shared_ptr<module_host> host, std::string id, patch_plan plan)
        : promise_worker(owner.Env()),
          owner_(owner),
          host_(std::move(host)),
          id_(std::move(id)),
          plan_(std::move(plan)) {
        owner_.begin(this);
        handle_ = Napi::Persistent(owner_.Value());
    }

    ~patch_worker() override { owner_.end(this); }

  protected:
    void execute() override { host_->loaded->set_patches(id_, plan_, token()); }
    Napi::Value result(Napi::Env env) override { return env.Undefined(); }

  private:
    native_module & owner_;
    Napi::ObjectReference handle_;
    std::shared_ptr<module_host> host_;
    std::string id_;
    patch_plan plan_;
};

}  // namespace

void module_host::close(const std::shared_ptr<module_host> & host) {
    host->thread->push([host] {
        host->loaded.reset();
        return_freed_memory();
    });
    host->thread->close();
}

Napi::Function native_module::define(Napi::Env env) {
    return DefineClass(
        env, "NativeModule",
        {InstanceMethod("run", &native_module::run), InstanceMethod("nodes", &native_module::nodes),
         InstanceMethod("needed", &native_module::needed),
         InstanceMethod("setPatches", &native_module::set_patches),
         InstanceMethod("release", &native_module::release_session),
         InstanceMethod("memory", &native_module::memory),
         InstanceMethod("dispose", &native_module::dispose)});
}

Napi::Object native_module::create(Napi::Env env, std::shared_ptr<module_host> host) {
    // The class is not exported, but JavaScript can reach it as handle.constructor: the host comes by a way
    // it cannot take.
    std::shared_ptr<module_host> & way = environment::of(env).handing_over;
    way = std::move(host);
    try {
        return environment::of(env).module_class().New({});
    } catch (...) {
        way.reset();
        throw;
    }
}

native_module::native_module(const Napi::CallbackInfo & info)
    : Napi::ObjectWrap<native_module>(info), host_(std::move(environment::of(info.Env()).handing_over)) {
    if (!host_) {
        throw Napi::TypeError::New(info.Env(), "Modules are made by createModule");
    }
    tell_collector(static_cast<int64_t>(host_->loaded->weight_bytes()));
}

native_module::~native_module() {
    release();
}

module_host & native_module::host() const {
    if (!host_) {
        throw error("DISPOSED", "The module was disposed and cannot be used any more");
    }
    return *host_;
}

void native_module::end(promise_worker * call) {
    calls_.erase(call);
    if (host_) {
        const loaded_module & loaded = *host_->loaded;
        tell_collector(static_cast<int64_t>(loaded.weight_bytes() + loaded.compute_bytes() +
                                            loaded.state_bytes() + loaded.patch_bytes()));
    }
}

void native_module::tell_collector(int64_t bytes) {
    Napi::MemoryManagement::AdjustExternalMemory(Env(), bytes - told_bytes_);
    told_bytes_ = bytes;
}

void native_module::release() {
    if (!host_) {
        return;
    }
    for (promise_worker * call : calls_) {
        call->token().dispose();
    }
    module_host::close(host_);
    host_.reset();
    tell_collector(0);
}

Napi::Value native_module::run(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        host();
        run_request request;
        request.entry = to_text(info[0], "the entry");
        request.inputs = to_tensors(info[1]);
        read_run_options(info[2], request);
        host();  // reading the arguments may run getters, and those may dispose
        auto call = std::make_shared<run_worker>(*this, host_, std::move(request));
        return start(call);
    });
}

Napi::Value native_module::start(const std::shared_ptr<promise_worker> & call) {
    Napi::Value task = call->start(*host_->thread);
    host_->thread->push([host = host_] { host->loaded->end_run(); });
    return task;
}

Napi::Value native_module::needed(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        std::string entry = to_text(info[0], "the entry");
        std::map<std::string, shape> shapes = to_shapes(info[1]);
        config params = to_config(info[2]);
        std::string patches = info[3].IsUndefined() ? "" : to_text(info[3], "patches");
        host();
        return start(std::make_shared<needed_worker>(*this, host_, std::move(entry), std::move(shapes),
                                                     std::move(params), std::move(patches)));
    });
}

Napi::Value native_module::nodes(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        std::string entry = to_text(info[0], "the entry");
        std::map<std::string, shape> shapes = to_shapes(info[1]);
        config params = to_config(info[2]);
        std::vector<node_info> found = host().loaded->nodes(entry, shapes, params);
        Napi::Array out = Napi::Array::New(info.Env(), found.size());
        for (uint32_t i = 0; i < found.size(); i++) {
            Napi::Object node = Napi::Object::New(info.Env());
            node.Set("name", found[i].name);
            node.Set("shape", from_shape(info.Env(), found[i].dims));
            out.Set(i, node);
        }
        return out;
    });
}

Napi::Value native_module::set_patches(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        std::string id = to_text(info[0], "the name of the patch set");
        patch_plan plan = to_patch_plan(info[1]);
        host();
        return start(std::make_shared<patch_worker>(*this, host_, std::move(id), std::move(plan)));
    });
}

Napi::Value native_module::release_session(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        std::string session = to_text(info[0], "session");
        std::shared_ptr<module_host> kept = host_;
        host().thread->push([kept, session] { kept->loaded->release(session); });
        return info.Env().Undefined();
    });
}

Napi::Value native_module::memory(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        const loaded_module & loaded = *host().loaded;
        Napi::Object out = Napi::Object::New(info.Env());
        out.Set("weights", Napi::Number::New(info.Env(), static_cast<double>(loaded.weight_bytes())));
        out.Set("compute", Napi::Number::New(info.Env(), static_cast<double>(loaded.compute_bytes())));
        out.Set("sessions", Napi::Number::New(info.Env(), static_cast<double>(loaded.state_bytes())));
        out.Set("patches", Napi::Number::New(info.Env(), static_cast<double>(loaded.patch_bytes())));
        out.Set("backend", loaded.backend());
        return out;
    });
}

Napi::Value native_module::dispose(const Napi::CallbackInfo & info) {
    release();
    return info.Env().Undefined();
}

}  // namespace safelight
