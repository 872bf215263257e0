#pragma once

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

namespace safelight {

// A thread with a queue: jobs run one after the other, in the order given. The owner closes and joins it.
class worker {
  public:
    // `at_exit` runs on the thread when it is done.
    explicit worker(std::function<void(worker *)> at_exit);
    ~worker();
    worker(const worker &) = delete;
    worker & operator=(const worker &) = delete;

    // False once closed. Jobs do not throw.
    bool push(std::function<void()> job);
    void close();  // what is queued still runs
    void join();   // close() first; safe twice, on one thread

  private:
    static void * main(void * self);
    void work();

    std::function<void(worker *)> at_exit_;
    std::mutex guard_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> jobs_;
    bool closed_ = false, joined_ = false;
    pthread_t thread_;
};

}  // namespace safelight
