#pragma once

#include <chrono>
#include <cstdint>

namespace safelight {

// Limits progress reports to one every 40 ms. The final report always passes.
class progress_gate {
  public:
    // Returns true if this report should be sent.
    bool opens(uint64_t done, uint64_t total) {
        auto now = std::chrono::steady_clock::now();
        if (done < total && now - last_ < between_reports) {
            return false;
        }
        last_ = now;
        return true;
    }

  private:
    static constexpr auto between_reports = std::chrono::milliseconds(40);
    std::chrono::steady_clock::time_point last_;
};

}  // namespace safelight
