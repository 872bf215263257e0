#include "runtime/platform/thread.h"

#include <pthread.h>

#include <utility>

#include "runtime/error.h"

namespace safelight {

static_assert(sizeof(pthread_t) <= sizeof(uintptr_t));

thread::thread(size_t stack_bytes, std::function<void()> body) : body_(std::move(body)) {
    const auto main = [](void * function) -> void * {
        (*static_cast<std::function<void()> *>(function))();
        return nullptr;
    };
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, stack_bytes);
    pthread_t started = {};
    int failed = pthread_create(&started, &attributes, main, &body_);
    pthread_attr_destroy(&attributes);
    if (failed != 0) {
        throw error("OUT_OF_MEMORY", "The system cannot create more threads");
    }
    handle_ = (uintptr_t)started;  // an integer on Linux, a pointer on macOS
}

void thread::join() {
    if (!joined_) {
        pthread_join((pthread_t)handle_, nullptr);
        joined_ = true;
    }
}

}  // namespace safelight
