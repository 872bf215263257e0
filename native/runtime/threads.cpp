#include "runtime/threads.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/platform/cores.h"

namespace safelight {

int physical_cores() {
    int cores = allowed_cores();
    if (cores <= 0) {
        cores = static_cast<int>(std::thread::hardware_concurrency());
    }
    const int quota = cpu_quota();
    return std::clamp(quota > 0 ? std::min(cores, quota) : cores, 1, max_threads);
}

void parallel_for(int64_t count, int threads, const std::function<void(int64_t)> & body) {
    std::atomic<int64_t> next{0};
    std::exception_ptr failure;
    std::mutex guard;
    auto work = [&] {
        for (int64_t i = next++; i < count; i = next++) {
            try {
                body(i);
            } catch (...) {
                std::lock_guard<std::mutex> lock(guard);
                failure = failure ? failure : std::current_exception();
                next = count;
            }
        }
    };
    std::vector<std::thread> helpers;
    for (int64_t i = 1; i < std::min<int64_t>(threads, count); i++) {
        try {
            helpers.emplace_back(work);
        } catch (const std::system_error &) {
            break;  // no more threads available: the existing ones do the work
        }
    }
    work();
    for (std::thread & helper : helpers) {
        helper.join();
    }
    if (failure) {
        std::rethrow_exception(failure);
    }
}

}  // namespace safelight
