#include "runtime/threads.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <fstream>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#ifdef __linux__
#include <sched.h>
#endif
#ifdef __APPLE__
#include <sys/sysctl.h>
#endif

namespace safelight {

namespace {

#ifdef __linux__

int read_int(const std::string & path, int fallback) {
    std::ifstream in(path);
    int number = 0;
    return in >> number ? number : fallback;
}

// Returns the number of physical cores in the process's affinity mask; 0 if the kernel does not report the
// topology.
int allowed_cores() {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        return 0;
    }
    std::set<std::pair<int, int>> cores;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed)) {
            continue;
        }
        std::string topology = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
        int package = read_int(topology + "physical_package_id", -1),
            core = read_int(topology + "core_id", -1);
        if (core < 0) {
            return 0;
        }
        cores.emplace(package, core);
    }
    return static_cast<int>(cores.size());
}

// Returns a container's CPU time limit in processors, rounded up. cgroup v2 has the quota and the period in
// one line, such as "max 100000" or "200000 100000".
int quota_cores() {
    std::ifstream in("/sys/fs/cgroup/cpu.max");
    double quota = 0, period = 0;
    return in >> quota >> period && period > 0 ? static_cast<int>(std::ceil(quota / period)) : max_threads;
}

#endif

}  // namespace

int physical_cores() {
    int cores = 0;
#ifdef __linux__
    cores = allowed_cores();
#elif defined(__APPLE__)
    size_t size = sizeof cores;
    if (sysctlbyname("hw.physicalcpu", &cores, &size, nullptr, 0) != 0) {
        cores = 0;
    }
#endif
    if (cores <= 0) {
        cores = static_cast<int>(std::thread::hardware_concurrency());
    }
#ifdef __linux__
    cores = std::min(cores, quota_cores());
#endif
    return std::clamp(cores, 1, max_threads);
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
