#pragma once

#include <atomic>

#include "runtime/error.h"

namespace safelight {

// Cancellation flag of one operation. Any thread may set it; the thread that does the work polls it. The
// first reason wins.
class cancel_token {
  public:
    void abort() { set(reason::aborted); }
    void dispose() { set(reason::disposed); }
    bool cancelled() const { return reason_.load(std::memory_order_relaxed) != reason::none; }

    void throw_if_cancelled() const {
        switch (reason_.load(std::memory_order_relaxed)) {
            case reason::none:
                return;
            case reason::aborted:
                throw error("ABORTED", "The operation was aborted");
            case reason::disposed:
                throw error("DISPOSED", "The module was disposed during the operation");
        }
    }

  private:
    enum class reason { none, aborted, disposed };

    void set(reason value) {
        reason expected = reason::none;
        reason_.compare_exchange_strong(expected, value);
    }

    std::atomic<reason> reason_{reason::none};
};

}  // namespace safelight
