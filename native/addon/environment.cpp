#include "addon/environment.h"

#include "addon/native_module.h"
#include "addon/promise_worker.h"
#include "addon/tensor_handle.h"

namespace safelight {

mailbox::mailbox(Napi::Env env) : env_(env) {
    napi_value name = Napi::String::New(env, "safelight");
    napi_status status = napi_create_threadsafe_function(env, nullptr, nullptr, name, 0, 1, nullptr, nullptr,
                                                         this, deliver, &signal_);
    if (status != napi_ok) {
        throw Napi::Error::New(env, "Cannot create a thread-safe function");
    }
    napi_unref_threadsafe_function(env, signal_);
}

void mailbox::post(message callback) {
    std::lock_guard<std::mutex> lock(guard_);
    if (signal_ != nullptr) {
        waiting_.push_back(std::move(callback));
        napi_call_threadsafe_function(signal_, nullptr, napi_tsfn_nonblocking);
    }
}

void mailbox::close() {
    std::deque<message> dropped;
    {
        std::lock_guard<std::mutex> lock(guard_);
        signal_ = nullptr;  // Node frees it with the environment
        dropped.swap(waiting_);
    }
}

void mailbox::keep_loop_alive(bool alive) {
    std::lock_guard<std::mutex> lock(guard_);
    if (signal_ != nullptr) {
        alive ? napi_ref_threadsafe_function(env_, signal_) : napi_unref_threadsafe_function(env_, signal_);
    }
}

void mailbox::deliver(napi_env env, napi_value, void * context, void *) {
    if (env == nullptr) {
        return;  // during teardown, when the mailbox may already be freed
    }
    auto * self = static_cast<mailbox *>(context);
    message callback;
    {
        std::lock_guard<std::mutex> lock(self->guard_);
        if (self->waiting_.empty()) {
            return;
        }
        callback = std::move(self->waiting_.front());
        self->waiting_.pop_front();
    }
    try {
        callback(env);
    } catch (...) {
        // Messages handle their own errors. Others occur only during teardown.
    }
}

environment::environment(Napi::Env env) : env_(env), mail_(std::make_shared<mailbox>(env)) {}

environment::~environment() = default;

void environment::create(Napi::Env env) {
    auto * self = new environment(env);
    env.SetInstanceData<environment>(self);
    self->module_class_ = Napi::Persistent(native_module::define(env));
    self->tensor_class_ = Napi::Persistent(tensor_handle::define(env));
    // Hooks run in reverse order, so this one runs before that of the thread-safe function.
    napi_add_env_cleanup_hook(env, teardown, self);
}

environment & environment::of(Napi::Env env) {
    return *env.GetInstanceData<environment>();
}

std::shared_ptr<worker> environment::start_worker() {
    std::shared_ptr<mailbox> mail = mail_;
    auto thread = std::make_shared<worker>([mail](worker * ended) {
        mail->post([ended](Napi::Env env) {
            std::set<std::shared_ptr<worker>> & all = of(env).workers_;
            for (auto it = all.begin(); it != all.end(); ++it) {
                if (it->get() == ended) {
                    ended->join();
                    all.erase(it);
                    break;
                }
            }
        });
    });
    workers_.insert(thread);
    return thread;
}

void environment::begin(std::shared_ptr<promise_worker> call) {
    if (calls_.empty()) {
        mail_->keep_loop_alive(true);
    }
    calls_.insert(std::move(call));
}

void environment::end(promise_worker * call) {
    for (auto it = calls_.begin(); it != calls_.end(); ++it) {
        if (it->get() == call) {
            calls_.erase(it);
            break;
        }
    }
    if (calls_.empty()) {
        mail_->keep_loop_alive(false);
    }
}

// Ends all threads, because Node may unload the addon with its last environment.
void environment::teardown(void * data) {
    auto * self = static_cast<environment *>(data);
    self->mail_->close();
    for (const auto & call : self->calls_) {
        call->token().dispose();
    }
    for (const auto & thread : self->workers_) {
        thread->close();
        thread->join();
    }
    self->workers_.clear();
    self->calls_.clear();
}

}  // namespace safelight
