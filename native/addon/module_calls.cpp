#include "addon/module_calls.h"

#include <utility>

#include "addon/tensor_handle.h"
#include "addon/values/values.h"

namespace safelight {

namespace {

class module_worker : public promise_worker {
  public:
    module_worker(native_module & owner, std::shared_ptr<module_host> host)
        : promise_worker(owner.Env()), owner_(owner), host_(std::move(host)) {
        owner_.begin(this);
        handle_ = Napi::Persistent(owner_.Value());  // prevents garbage collection during the call
    }

    ~module_worker() override { owner_.end(this); }

  protected:
    loaded_module & loaded() const { return *host_->loaded; }

  private:
    native_module & owner_;
    Napi::ObjectReference handle_;
    std::shared_ptr<module_host> host_;
};

Napi::Object from_timings(Napi::Env env, const run_result & result) {
    Napi::Object out = Napi::Object::New(env);
    out.Set("build", Napi::Number::New(env, result.build_ms));
    out.Set("compute", Napi::Number::New(env, result.compute_ms));
    if (result.timed) {
        Napi::Object nodes = Napi::Object::New(env);
        for (const auto & [name, ms] : result.nodes) {
            nodes.Set(name, Napi::Number::New(env, ms));
        }
        out.Set("nodes", nodes);
    }
    return out;
}

class run_worker : public module_worker {
  public:
    run_worker(native_module & owner, std::shared_ptr<module_host> host, run_request request)
        : module_worker(owner, std::move(host)), request_(std::move(request)) {}

  protected:
    void execute() override { result_ = loaded().run(request_, token()); }

    Napi::Value result(Napi::Env env) override {
        Napi::Object out = Napi::Object::New(env);
        out.Set("outputs", from_tensors(env, result_.outputs));
        out.Set("taps", from_tensors(env, result_.taps));
        Napi::Object kept = Napi::Object::New(env);
        for (const auto & [name, value] : result_.kept) {
            kept.Set(name, tensor_handle::create(env, value));
        }
        out.Set("kept", kept);
        out.Set("timings", from_timings(env, result_));
        return out;
    }

  private:
    run_request request_;
    run_result result_;
};

class needed_worker : public module_worker {
  public:
    needed_worker(native_module & owner, std::shared_ptr<module_host> host, std::string entry,
                  std::map<std::string, shape> inputs, config params, std::string patches)
        : module_worker(owner, std::move(host)),
          entry_(std::move(entry)),
          inputs_(std::move(inputs)),
          params_(std::move(params)),
          patches_(std::move(patches)) {}

  protected:
    void execute() override { bytes_ = loaded().needed(entry_, inputs_, params_, patches_); }
    Napi::Value result(Napi::Env env) override { return Napi::Number::New(env, static_cast<double>(bytes_)); }

  private:
    std::string entry_;
    std::map<std::string, shape> inputs_;
    config params_;
    std::string patches_;
    uint64_t bytes_ = 0;
};

class patch_worker : public module_worker {
  public:
    patch_worker(native_module & owner, std::shared_ptr<module_host> host, std::string id, patch_plan plan)
        : module_worker(owner, std::move(host)), id_(std::move(id)), plan_(std::move(plan)) {}

  protected:
    void execute() override { loaded().set_patches(id_, plan_, token()); }
    Napi::Value result(Napi::Env env) override { return env.Undefined(); }

  private:
    std::string id_;
    patch_plan plan_;
};

class write_packed_worker : public module_worker {
  public:
    write_packed_worker(native_module & owner, std::shared_ptr<module_host> host, std::string path,
                        uint64_t offset)
        : module_worker(owner, std::move(host)), path_(std::move(path)), offset_(offset) {}

  protected:
    void execute() override { written_ = loaded().write_packed(path_, offset_, token()); }
    Napi::Value result(Napi::Env env) override {
        Napi::Array out = Napi::Array::New(env, written_.size());
        for (uint32_t i = 0; i < written_.size(); i++) {
            Napi::Object weight = Napi::Object::New(env);
            weight.Set("key", written_[i].key);
            weight.Set("offset", Napi::Number::New(env, static_cast<double>(written_[i].offset)));
            weight.Set("length", Napi::Number::New(env, static_cast<double>(written_[i].size)));
            out.Set(i, weight);
        }
        return out;
    }

  private:
    std::string path_;
    uint64_t offset_;
    std::vector<stored_weight> written_;
};

}  // namespace

std::shared_ptr<promise_worker> run_call(native_module & owner, std::shared_ptr<module_host> host,
                                         run_request request) {
    return std::make_shared<run_worker>(owner, std::move(host), std::move(request));
}

std::shared_ptr<promise_worker> needed_call(native_module & owner, std::shared_ptr<module_host> host,
                                            std::string entry, std::map<std::string, shape> inputs,
                                            config params, std::string patches) {
    return std::make_shared<needed_worker>(owner, std::move(host), std::move(entry), std::move(inputs),
                                           std::move(params), std::move(patches));
}

std::shared_ptr<promise_worker> patch_call(native_module & owner, std::shared_ptr<module_host> host,
                                           std::string id, patch_plan plan) {
    return std::make_shared<patch_worker>(owner, std::move(host), std::move(id), std::move(plan));
}

std::shared_ptr<promise_worker> write_packed_call(native_module & owner, std::shared_ptr<module_host> host,
                                                  std::string path, uint64_t offset) {
    return std::make_shared<write_packed_worker>(owner, std::move(host), std::move(path), offset);
}

}  // namespace safelight
