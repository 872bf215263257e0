#include "addon/native_module.h"

#include "addon/environment.h"
#include "addon/module_calls.h"
#include "addon/values/checked.h"
#include "addon/values/values.h"
#include "runtime/memory.h"

namespace safelight {

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
         InstanceMethod("writePacked", &native_module::write_packed),
         InstanceMethod("release", &native_module::release_session),
         InstanceMethod("memory", &native_module::memory),
         InstanceMethod("dispose", &native_module::dispose)});
}

Napi::Object native_module::create(Napi::Env env, std::shared_ptr<module_host> host) {
    // The class is not exported, but JavaScript can reach it as handle.constructor. Pass the host through the
    // environment, so that JavaScript cannot construct a module.
    std::shared_ptr<module_host> & pending = environment::of(env).pending_module;
    pending = std::move(host);
    try {
        return environment::of(env).module_class().New({});
    } catch (...) {
        pending.reset();
        throw;
    }
}

native_module::native_module(const Napi::CallbackInfo & info)
    : Napi::ObjectWrap<native_module>(info), host_(std::move(environment::of(info.Env()).pending_module)) {
    if (!host_) {
        throw Napi::TypeError::New(info.Env(), "A module cannot be constructed; use createModule");
    }
    report_external_memory(static_cast<int64_t>(host_->loaded->weight_bytes()));
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
        report_external_memory(static_cast<int64_t>(loaded.weight_bytes() + loaded.compute_bytes() +
                                                    loaded.state_bytes() + loaded.patch_bytes()));
    }
}

void native_module::report_external_memory(int64_t bytes) {
    Napi::MemoryManagement::AdjustExternalMemory(Env(), bytes - reported_bytes_);
    reported_bytes_ = bytes;
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
    report_external_memory(0);
}

Napi::Value native_module::run(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        host();
        run_request request;
        request.entry = to_text(info[0], "the entry");
        request.inputs = to_inputs(info[1]);
        read_run_options(info[2], request);
        host();  // check again: getters of the arguments may have disposed the module
        return start(run_call(*this, host_, std::move(request)));
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
        return start(needed_call(*this, host_, std::move(entry), std::move(shapes), std::move(params),
                                 std::move(patches)));
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
        return start(patch_call(*this, host_, std::move(id), std::move(plan)));
    });
}

Napi::Value native_module::write_packed(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        std::string path = to_text(info[0], "the path of the file");
        uint64_t offset = natural(info[1], "the offset in the file");
        host();
        return start(write_packed_call(*this, host_, std::move(path), offset));
    });
}

Napi::Value native_module::release_session(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        std::string session = to_text(info[0], "session");
        host().thread->push([target = host_, session] { target->loaded->release(session); });
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
        out.Set("kept", Napi::Number::New(info.Env(), static_cast<double>(loaded.kept_bytes())));
        out.Set("backend", loaded.backend());
        return out;
    });
}

Napi::Value native_module::dispose(const Napi::CallbackInfo & info) {
    release();
    return info.Env().Undefined();
}

}  // namespace safelight
