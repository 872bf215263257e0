#include "runtime/platform/cores.h"

#include <sched.h>

#include <cmath>
#include <fstream>
#include <set>
#include <string>
#include <utility>

namespace safelight {

namespace {

int read_int(const std::string & path, int fallback) {
    std::ifstream in(path);
    int number = 0;
    return in >> number ? number : fallback;
}

}  // namespace

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

// cgroup v2 has the quota and the period in one line, such as "max 100000" or "200000 100000".
int cpu_quota() {
    std::ifstream in("/sys/fs/cgroup/cpu.max");
    double quota = 0, period = 0;
    return in >> quota >> period && period > 0 ? static_cast<int>(std::ceil(quota / period)) : 0;
}

}  // namespace safelight
