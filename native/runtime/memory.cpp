#include "runtime/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
#include <new>
#include <string>
#include <utility>
#include <vector>

#ifdef __GLIBC__
#include <malloc.h>
#endif
#ifdef __APPLE__
#include <mach/mach.h>
#endif

#include "runtime/error.h"

namespace safelight {

namespace {

constexpr uint64_t unlimited = std::numeric_limits<uint64_t>::max();

std::string format_bytes(uint64_t bytes) {
    char text[64];
    std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
    return std::to_string(bytes) + " bytes (" + text + ")";
}

#ifdef __linux__

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

#endif

}  // namespace

uint64_t available_memory() {
#ifdef __linux__
    uint64_t kib = read_field("/proc/meminfo", "MemAvailable:", 0);
    uint64_t machine = kib == 0 ? unlimited : kib * 1024;
    uint64_t least = std::min(machine, container_headroom());
    return least == unlimited ? 0 : std::max<uint64_t>(least, 1);
#elif defined(__APPLE__)
    vm_statistics64_data_t pages = {};
    mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
    if (host_statistics64(mach_host_self(), HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&pages),
                          &count) != KERN_SUCCESS) {
        return 0;
    }
    uint64_t free = uint64_t(pages.free_count) + pages.inactive_count + pages.purgeable_count;
    return free * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
#else
    return 0;
#endif
}

system_memory::system_memory(size_t bytes) : size_(bytes) {
    if (bytes == 0) {
        return;
    }
    data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (data_ == MAP_FAILED) {
        data_ = nullptr;
        throw std::bad_alloc();
    }
    prefer_huge_pages(data_, bytes);
}

system_memory::~system_memory() {
    if (data_ != nullptr) {
        unmap(data_, size_);
    }
}

system_memory::system_memory(system_memory && other) noexcept {
    *this = std::move(other);
}

system_memory & system_memory::operator=(system_memory && other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

void prefer_huge_pages(void * from, size_t bytes) {
#ifdef MADV_HUGEPAGE
    constexpr uintptr_t huge = uintptr_t{2} << 20;
    const auto address = reinterpret_cast<uintptr_t>(from);
    const uintptr_t begin = (address + huge - 1) / huge * huge, end = (address + bytes) / huge * huge;
    if (begin < end) {
        static_cast<void>(madvise(reinterpret_cast<void *>(begin), end - begin, MADV_HUGEPAGE));
    }
#else
    static_cast<void>(from);
    static_cast<void>(bytes);
#endif
}

void discard_pages(void * from, size_t bytes) {
    const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto address = reinterpret_cast<uintptr_t>(from);
    const uintptr_t begin = (address + page - 1) / page * page, end = (address + bytes) / page * page;
    if (begin < end) {
        static_cast<void>(madvise(reinterpret_cast<void *>(begin), end - begin, MADV_DONTNEED));
    }
}

void unmap(void * pages, size_t bytes) {
    constexpr size_t piece = size_t{4} << 20;
    auto * from = static_cast<std::byte *>(pages);
    for (size_t done = 0; done < bytes; done += piece) {
        static_cast<void>(madvise(from + done, std::min(piece, bytes - done), MADV_DONTNEED));
    }
    munmap(pages, bytes);
}

void return_freed_memory() {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

void out_of_memory(uint64_t bytes, const std::string & purpose) {
    throw error("OUT_OF_MEMORY",
                purpose + " needs " + format_bytes(bytes) + ", which could not be allocated");
}

void require_memory(uint64_t bytes, uint64_t available, const std::string & purpose) {
    if (available != 0 && bytes > available) {
        throw error("OUT_OF_MEMORY", purpose + " needs " + format_bytes(bytes) + ", but only " +
                                         format_bytes(available) + " are available");
    }
}

}  // namespace safelight
