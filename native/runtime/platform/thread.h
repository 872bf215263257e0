#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace safelight {

// A thread with a stack of a given size, which std::thread cannot set. The owner must join it.
class thread {
  public:
    // Starts `body`, which must not throw. Throws OUT_OF_MEMORY if the system refuses another thread.
    thread(size_t stack_bytes, std::function<void()> body);
    thread(const thread &) = delete;
    thread & operator=(const thread &) = delete;

    void join();  // may be called twice, on one thread

  private:
    std::function<void()> body_;
    uintptr_t handle_ = 0;  // pthread_t or HANDLE
    bool joined_ = false;
};

}  // namespace safelight
