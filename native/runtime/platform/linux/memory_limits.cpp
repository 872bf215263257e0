#include "runtime/platform/memory_limits.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

namespace safelight {

namespace {

constexpr uint64_t unlimited = std::numeric_limits<uint64_t>::max();

// Returns the number after `key` in a file of "key value" lines.
uint64_t read_field(const std::string & path, const std::string & key, uint64_t fallback) {
    std::ifstream in(path);
    std::string word;
    uint64_t number = 0;
    while (in >> word) {
        if (word == key) {
            return in >> number ? number : fallback;
        }
        in.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    }
    return fallback;
}

uint64_t read_number(const std::string & path, uint64_t fallback) {
    std::ifstream in(path);
    uint64_t number = 0;
    return in >> number ? number : fallback;
}

// File names of one control group version. `cache` lists the fields of memory.stat that count reclaimable
// pages.
struct cgroup_files {
    const char * root;
    const char * limit;
    const char * usage;
    std::vector<std::string> cache;
};

// Returns the bytes left under one group's limit. Cached file pages count as used but can be reclaimed.
uint64_t group_headroom(const std::string & folder, const cgroup_files & files) {
    uint64_t limit = read_number(folder + "/" + files.limit, unlimited);
    if (limit == unlimited) {
        return unlimited;
    }
    uint64_t used = read_number(folder + "/" + files.usage, 0);
    for (const std::string & pages : files.cache) {
        used -= std::min(used, read_field(folder + "/memory.stat", pages, 0));
    }
    return limit - std::min(limit, used);
}

// Returns the bytes left under the limits of the process's group and all its ancestors. In a container the
// path may be the host's and not exist; then the limit at the root applies.
uint64_t hierarchy_headroom(const std::string & path, const cgroup_files & files) {
    uint64_t least = unlimited;
    for (std::string group = path;; group.resize(group.rfind('/'))) {
        least = std::min(least, group_headroom(files.root + group, files));
        if (group.empty() || group.rfind('/') == std::string::npos) {
            return least;
        }
    }
}

uint64_t container_headroom() {
    const cgroup_files version_2 = {
        "/sys/fs/cgroup", "memory.max", "memory.current", {"inactive_file", "active_file"}};
    const cgroup_files version_1 = {"/sys/fs/cgroup/memory",
                                    "memory.limit_in_bytes",
                                    "memory.usage_in_bytes",
                                    {"total_inactive_file", "total_active_file"}};
    // Lines such as "0::/user.slice" (version 2) and "9:cpu,memory:/docker/1f" (version 1).
    std::ifstream in("/proc/self/cgroup");
    uint64_t least = std::min(hierarchy_headroom("", version_2), hierarchy_headroom("", version_1));
    for (std::string line; std::getline(in, line);) {
        size_t controllers = line.find(':'), path = line.find(':', controllers + 1);
        if (controllers == std::string::npos || path == std::string::npos) {
            continue;
        }
        std::string names = ",";
        names += line.substr(controllers + 1, path - controllers - 1);
        names += ",";
        if (names == ",,") {
            least = std::min(least, hierarchy_headroom(line.substr(path + 1), version_2));
        } else if (names.find(",memory,") != std::string::npos) {
            least = std::min(least, hierarchy_headroom(line.substr(path + 1), version_1));
        }
    }
    return least;
}

}  // namespace

uint64_t available_memory() {
    uint64_t kib = read_field("/proc/meminfo", "MemAvailable:", 0);
    uint64_t machine = kib == 0 ? unlimited : kib * 1024;
    uint64_t least = std::min(machine, container_headroom());
    return least == unlimited ? 0 : std::max<uint64_t>(least, 1);
}

}  // namespace safelight
