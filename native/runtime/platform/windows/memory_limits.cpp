#include "runtime/platform/memory_limits.h"

#include <algorithm>
#include <limits>

#include "runtime/platform/windows/system.h"
// After windows.h.
#include <psapi.h>

namespace safelight {

namespace {

constexpr uint64_t unlimited = std::numeric_limits<uint64_t>::max();

uint64_t committed_by_process() {
    PROCESS_MEMORY_COUNTERS_EX counters = {};
    auto * out = reinterpret_cast<PROCESS_MEMORY_COUNTERS *>(&counters);
    return K32GetProcessMemoryInfo(GetCurrentProcess(), out, sizeof counters) ? counters.PrivateUsage : 0;
}

// Returns the memory of all processes of the job object, at least that of this one. Windows 10 and later
// report it with a class that mingw's headers lack.
uint64_t committed_by_job() {
    struct {
        uint64_t current, peak;
    } usage = {};
    constexpr auto memory_usage = static_cast<JOBOBJECTINFOCLASS>(28);  // JobObjectMemoryUsageInformation
    const bool known = QueryInformationJobObject(nullptr, memory_usage, &usage, sizeof usage, nullptr);
    return std::max(known ? usage.current : 0, committed_by_process());
}

// Returns the bytes left under the limits of the process's job object, which containers and CI runners use.
uint64_t job_headroom() {
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {};
    if (!QueryInformationJobObject(nullptr, JobObjectExtendedLimitInformation, &limits, sizeof limits,
                                   nullptr)) {
        return unlimited;  // the process is in no job
    }
    const auto left = [](uint64_t limit, uint64_t used) { return limit - std::min(limit, used); };
    const DWORD flags = limits.BasicLimitInformation.LimitFlags;
    uint64_t least = unlimited;
    if (flags & JOB_OBJECT_LIMIT_PROCESS_MEMORY) {
        least = std::min(least, left(limits.ProcessMemoryLimit, committed_by_process()));
    }
    if (flags & JOB_OBJECT_LIMIT_JOB_MEMORY) {
        least = std::min(least, left(limits.JobMemoryLimit, committed_by_job()));
    }
    return least;
}

}  // namespace

uint64_t available_memory() {
    MEMORYSTATUSEX status = {};
    status.dwLength = sizeof status;
    uint64_t least = job_headroom();
    if (GlobalMemoryStatusEx(&status)) {
        // The page file limits what can be committed, even while physical memory is free.
        least = std::min({least, uint64_t{status.ullAvailPhys}, uint64_t{status.ullAvailPageFile}});
    }
    return least == unlimited ? 0 : std::max<uint64_t>(least, 1);
}

}  // namespace safelight
