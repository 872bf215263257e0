#include "runtime/platform/cores.h"

#include <sys/sysctl.h>

#include <cstddef>

namespace safelight {

int allowed_cores() {
    int cores = 0;
    size_t size = sizeof cores;
    return sysctlbyname("hw.physicalcpu", &cores, &size, nullptr, 0) == 0 ? cores : 0;
}

int cpu_quota() {
    return 0;
}

}  // namespace safelight
