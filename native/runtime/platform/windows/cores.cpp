#include "runtime/platform/cores.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <thread>
#include <vector>

#include "runtime/platform/windows/system.h"

namespace safelight {

// A process with more than one processor group (more than 64 processors) may use the cores of all of them;
// its affinity mask then is 0.
int allowed_cores() {
    DWORD_PTR allowed = 0, system = 0;
    DWORD size = 0;
    GetLogicalProcessorInformationEx(RelationProcessorCore, nullptr, &size);
    std::vector<std::byte> bytes(size);
    auto * first = reinterpret_cast<SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *>(bytes.data());
    if (size == 0 || !GetLogicalProcessorInformationEx(RelationProcessorCore, first, &size) ||
        !GetProcessAffinityMask(GetCurrentProcess(), &allowed, &system)) {
        return 0;
    }
    int cores = 0;
    for (DWORD at = 0; at < size;) {
        auto * core = reinterpret_cast<SYSTEM_LOGICAL_PROCESSOR_INFORMATION_EX *>(bytes.data() + at);
        cores += allowed == 0 || (core->Processor.GroupMask[0].Mask & allowed) != 0 ? 1 : 0;
        at += core->Size;
    }
    return cores;
}

int cpu_quota() {
    JOBOBJECT_CPU_RATE_CONTROL_INFORMATION control = {};
    constexpr DWORD hard_cap = JOB_OBJECT_CPU_RATE_CONTROL_ENABLE | JOB_OBJECT_CPU_RATE_CONTROL_HARD_CAP;
    if (!QueryInformationJobObject(nullptr, JobObjectCpuRateControlInformation, &control, sizeof control,
                                   nullptr) ||
        (control.ControlFlags & hard_cap) != hard_cap) {
        return 0;
    }
    // CpuRate counts hundredths of a percent of all processors.
    const double share = control.CpuRate / 10'000.0;
    return std::max(1, static_cast<int>(std::ceil(share * std::thread::hardware_concurrency())));
}

}  // namespace safelight
