#include "addon/write_weights.h"

#include "addon/environment.h"
#include "addon/progress.h"
#include "addon/promise_worker.h"
#include "addon/values/values.h"
#include "runtime/patches/entry_changes.h"
#include "runtime/threads.h"
#include "runtime/weights/weight_writer.h"

namespace safelight {

namespace {

class write_worker : public promise_worker {
  public:
    write_worker(Napi::Env env, write_request request, const Napi::Value & progress)
        : promise_worker(env), request_(std::move(request)), thread_(environment::of(env).start_worker()) {
        if (progress.IsFunction()) {
            progress_ = Napi::Persistent(progress.As<Napi::Function>());
            wants_progress_ = true;
        }
    }

    ~write_worker() override { thread_->close(); }

    Napi::Object start() { return promise_worker::start(*thread_); }

  protected:
    void execute() override {
        int threads = request_.threads > 0 ? request_.threads : physical_cores();
        std::unique_ptr<value_changes> changes;
        if (request_.patches) {
            changes = std::make_unique<entry_changes>(*request_.patches, request_.plan, request_.transposed,
                                                      threads, token());
        }
        if (request_.blends) changes = std::make_unique<entry_blends>(*request_.blends, request_.plan);
        write_weights(request_.plan, request_.offsets, request_.path,
                      {threads, token(), [this](uint64_t done, uint64_t total) { report(done, total); },
                       changes.get()});
    }

    Napi::Value result(Napi::Env env) override { return env.Undefined(); }

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

    write_request request_;
    std::shared_ptr<worker> thread_;
    Napi::FunctionReference progress_;
    bool wants_progress_ = false;
    progress_gate gate_;
};

}  // namespace

Napi::Value js_write_weights(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        return std::make_shared<write_worker>(info.Env(), to_write_request(info[0]), info[1])->start();
    });
}

}  // namespace safelight
