#pragma once

#include <cstdint>
#include <functional>

namespace safelight {

constexpr int max_threads = 256;

// Returns the number of physical cores that this process may use, at least 1. This is the default number of
// threads: two threads on one core share its multipliers and gain nothing.
int physical_cores();

// Runs body(i) for i in [0, count) on up to `threads` threads, starting them in order of i. The first
// exception stops the others and is rethrown.
void parallel_for(int64_t count, int threads, const std::function<void(int64_t)> & body);

}  // namespace safelight
