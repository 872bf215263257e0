#include "runtime/worker.h"

#include <utility>

namespace safelight {

namespace {
// ggml visits a graph recursively, thousands of nodes deep; the default stacks of musl, macOS and
// Windows are too small.
constexpr size_t stack_bytes = 16u << 20;
}  // namespace

worker::worker(std::function<void(worker *)> at_exit)
    : at_exit_(std::move(at_exit)), thread_(stack_bytes, [this] { work(); }) {}

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
    thread_.join();
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
