#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

#include "runtime/platform/thread.h"

namespace safelight {

// A thread with a queue. Runs its tasks one at a time, first in, first out. The owner must close and join it.
class worker {
  public:
    // `at_exit` runs on the thread after its last task.
    explicit worker(std::function<void(worker *)> at_exit);
    ~worker();
    worker(const worker &) = delete;
    worker & operator=(const worker &) = delete;

    // Queues a task, which must not throw. Returns false once closed.
    bool push(std::function<void()> task);
    void close();  // accepts no more tasks; those in the queue still run
    void join();   // requires close(); may be called twice, on one thread

  private:
    void work();

    std::function<void(worker *)> at_exit_;
    std::mutex guard_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> tasks_;
    bool closed_ = false;
    thread thread_;  // last, because it uses the other members
};

}  // namespace safelight
