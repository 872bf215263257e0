#include "addon/create_module.h"

#include "addon/environment.h"
#include "addon/native_module.h"
#include "addon/progress.h"
#include "addon/promise_worker.h"
#include "addon/values/checked.h"
#include "addon/values/values.h"

namespace safelight {

namespace {

class load_worker : public promise_worker {
  public:
    load_worker(Napi::Env env, std::unique_ptr<architecture> model, weight_plan plan, module_options options,
                const Napi::Value & progress)
        : promise_worker(env),
          model_(std::move(model)),
          plan_(std::move(plan)),
          options_(std::move(options)),
          host_(std::make_shared<module_host>()) {
        if (progress.IsFunction()) {
            progress_ = Napi::Persistent(progress.As<Napi::Function>());
            wants_progress_ = true;
        }
        host_->thread = environment::of(env).start_worker();
    }

    ~load_worker() override {
        if (!handed_over_) {
            module_host::close(host_);
        }
    }

    Napi::Object start() { return promise_worker::start(*host_->thread); }

  protected:
    void execute() override {
        host_->loaded =
            std::make_unique<loaded_module>(std::move(model_), plan_, options_, token(),
                                            [this](uint64_t done, uint64_t total) { report(done, total); });
        token().throw_if_cancelled();
    }

    Napi::Value result(Napi::Env env) override {
        Napi::Object handle = native_module::create(env, host_);
        handed_over_ = true;
        return handle;
    }

  private:
    void report(uint64_t done, uint64_t total) {
        if (!wants_progress_ || !gate_.opens(done, total)) {
            return;
        }
        post([this, done, total](Napi::Env env) {
            progress_.Call({Napi::Number::New(env, static_cast<double>(done)),
                            Napi::Number::New(env, static_cast<double>(total))});
        });
    }

    std::unique_ptr<architecture> model_;
    weight_plan plan_;
    module_options options_;
    std::shared_ptr<module_host> host_;
    Napi::FunctionReference progress_;
    bool wants_progress_ = false, handed_over_ = false;
    progress_gate gate_;
};

}  // namespace

Napi::Value create_module(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        std::string kind = to_text(info[0], "the kind of module");
        std::unique_ptr<architecture> model = make_architecture(kind, to_config(info[1]));
        weight_plan plan = to_plan(info[2]);
        module_options options = to_module_options(info[3]);
        auto call = std::make_shared<load_worker>(info.Env(), std::move(model), std::move(plan),
                                                  std::move(options), info[4]);
        return call->start();
    });
}

}  // namespace safelight
