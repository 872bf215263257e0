#include "runtime/memory.h"

#include <cstdio>
#include <new>
#include <string>
#include <utility>

#include "runtime/error.h"

namespace safelight {

namespace {

std::string format_bytes(uint64_t bytes) {
    char text[64];
    std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1 << 20));
    return std::to_string(bytes) + " bytes (" + text + ")";
}

}  // namespace

system_memory::system_memory(size_t bytes) : size_(bytes) {
    if (bytes == 0) {
        return;
    }
    data_ = map_pages(bytes);
    if (data_ == nullptr) {
        throw std::bad_alloc();
    }
    prefer_huge_pages(data_, bytes);
}

system_memory::~system_memory() {
    if (data_ != nullptr) {
        unmap_pages(data_, size_);
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
