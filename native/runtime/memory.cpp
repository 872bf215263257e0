#include "runtime/memory.h"

#include <sys/mman.h>

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
#include <unistd.h>
#endif

#include "runtime/error.h"

namespace safelight {

namespace {

constexpr uint64_t unlimited = std::numeric_limits<uint64_t>::max();

std::string shown(uint64_t bytes) {
    char text[64];
    std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
    return std::to_string(bytes) + " bytes (" + text + ")";
}

#ifdef __linux__

// The number after `key` in a file of "key value" lines.
uint64_t line_of(const std::string & path, const std::string & key, uint64_t otherwise) {
    std::ifstream in(path);
    std::string word;
    uint64_t number = 0;
    while (in >> word) {
        if (word == key) {
            return in >> number ? number : otherwise;
        }
        in.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
    }
    return otherwise;
}

uint64_t number_in(const std::string & path, uint64_t otherwise) {
    std::ifstream in(path);
    uint64_t number = 0;
    return in >> number ? number : otherwise;
}

// How one version of control groups names its files; `cache` are the pages that give way.
struct group_files {
    const char * root;
    const char * limit;
    const char * usage;
    std::vector<std::string> cache;
};

// What one group's limit leaves. Cached file pages count as used but give way.
uint64_t left_in_group(const std::string & folder, const group_files & files) {
    uint64_t most = number_in(folder + "/" + files.limit, unlimited);
    if (most == unlimited) {
        return unlimited;
    }
    uint64_t used = number_in(folder + "/" + files.usage, 0);
    for (const std::string & pages : files.cache) {
        used -= std::min(used, line_of(folder + "/memory.stat", pages, 0));
    }
    return most - std::min(most, used);
}

// What the limits of the process's own group and of all above it leave. In a container the group's path may
// be the host's, whose folders are not there: then what is at the root counts.
uint64_t left_in_groups(const std::string & path, const group_files & files) {
    uint64_t least = unlimited;
    for (std::string below = path;; below.resize(below.rfind('/'))) {
        least = std::min(least, left_in_group(files.root + below, files));
        if (below.empty() || below.rfind('/') == std::string::npos) {
            return least;
        }
    }
}

uint64_t left_in_container() {
    const group_files second = {
        "/sys/fs/cgroup", "memory.max", "memory.current", {"inactive_file", "active_file"}};
    const group_files first = {"/sys/fs/cgroup/memory",
                               "memory.limit_in_bytes",
                               "memory.usage_in_bytes",
                               {"total_inactive_file", "total_active_file"}};
    // Lines such as "0::/user.slice" (version 2) and "9:cpu,memory:/docker/1f" (version 1).
    std::ifstream in("/proc/self/cgroup");
    uint64_t least = std::min(left_in_groups("", second), left_in_groups("", first));
    for (std::string line; std::getline(in, line);) {
        size_t controllers = line.find(':'), path = line.find(':', controllers + 1);
        if (controllers == std::string::npos || path == std::string::npos) {
            continue;
        }
        std::string names = ",";
        names += line.substr(controllers + 1, path - controllers - 1);
        names += ",";
        if (names == ",,") {
            least = std::min(least, left_in_groups(line.substr(path + 1), second));
        } else if (names.find(",memory,") != std::string::npos) {
            least = std::min(least, left_in_groups(line.substr(path + 1), first));
        }
    }
    return least;
}

#endif

}  // namespace

uint64_t available_memory() {
#ifdef __linux__
    uint64_t kib = line_of("/proc/meminfo", "MemAvailable:", 0);
    uint64_t machine = kib == 0 ? unlimited : kib * 1024;
    uint64_t least = std::min(machine, left_in_container());
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
    throw error("OUT_OF_MEMORY", purpose + " cannot have the " + shown(bytes) + " that it needs");
}

void require_memory(uint64_t bytes, uint64_t available, const std::string & purpose) {
    if (available != 0 && bytes > available) {
        throw error("OUT_OF_MEMORY",
                    purpose + " needs " + shown(bytes) + ", but only " + shown(available) + " are available");
    }
}

}  // namespace safelight
