#include "runtime/worker.h"

#include "runtime/error.h"

namespace safelight {

namespace {
// ggml visits a graph recursively, thousands of nodes deep; the default stacks of musl and macOS are too
// small.
constexpr size_t stack_bytes = 16u << 20;
}  // namespace

worker::worker(std::function<void(worker *)> at_exit) : at_exit_(std::move(at_exit)) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack_bytes);
    int failed = pthread_create(&thread_, &attributes, main, this);
    pthread_attr_destroy(&attributes);
    if (failed != 0) {
        throw error("OUT_OF_MEMORY", "The system cannot create more threads");
    }
}

worker::~worker() {
    close();
    join();
}

bool worker::push(std::function<void()> task) {
    {
        std::lock_guard<std::mutex> lock(guard_);
        if (closed_) {
            return false;
        }
        tasks_.push_back(std::move(task));
    }
    changed_.notify_one();
    return true;
}

void worker::close() {
    {
        std::lock_guard<std::mutex> lock(guard_);
        closed_ = true;
    }
    changed_.notify_one();
}

void worker::join() {
    if (!joined_) {
        pthread_join(thread_, nullptr);
        joined_ = true;
    }
}

void * worker::main(void * self) {
    static_cast<worker *>(self)->work();
    return nullptr;
}

void worker::work() {
    for (;;) {
        std::function<void()> task;
        {
            std::unique_lock<std::mutex> lock(guard_);
            changed_.wait(lock, [this] { return closed_ || !tasks_.empty(); });
            if (tasks_.empty()) {
                break;
            }
            task = std::move(tasks_.front());
            tasks_.pop_front();
        }
        task();
    }
    at_exit_(this);
}

}  // namespace safelight
