#include "runtime/platform/mapped_file.h"

#include <utility>

#include "runtime/error.h"
#include "runtime/platform/windows/system.h"

namespace safelight {

namespace {

struct handle {
    HANDLE value;
    explicit handle(HANDLE h) : value(h) {}
    ~handle() {
        if (value != nullptr && value != INVALID_HANDLE_VALUE) {
            CloseHandle(value);
        }
    }
    handle(const handle &) = delete;
    handle & operator=(const handle &) = delete;
};

[[noreturn]] void fail(const std::string & action, const std::string & path) {
    throw error("FILE_NOT_FOUND", "Cannot " + action + " " + path + ": " + error_message(GetLastError()));
}

// FILETIME counts 100 ns since 1601.
int64_t nanoseconds_since_1970(const FILETIME & time) {
    constexpr int64_t from_1601_to_1970 = 116'444'736'000'000'000;
    return ((int64_t{time.dwHighDateTime} << 32 | time.dwLowDateTime) - from_1601_to_1970) * 100;
}

}  // namespace

mapped_file::mapped_file(const std::string & path) {
    handle file(open_file(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE | FILE_SHARE_WRITE,
                          OPEN_EXISTING, true));
    BY_HANDLE_FILE_INFORMATION facts = {};
    if (file.value == INVALID_HANDLE_VALUE) {
        fail("read", path);
    }
    if (GetFileType(file.value) != FILE_TYPE_DISK) {
        throw error("INVALID_FILE", path + " is not a regular file");
    }
    if (!GetFileInformationByHandle(file.value, &facts)) {
        fail("read", path);
    }
    if (facts.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) {
        throw error("INVALID_FILE", path + " is not a regular file");
    }
    size_ = uint64_t{facts.nFileSizeHigh} << 32 | facts.nFileSizeLow;
    modified_ = nanoseconds_since_1970(facts.ftLastWriteTime);
    if (size_ == 0) {
        return;
    }
    // The view keeps the file open after both handles are closed.
    handle mapping(CreateFileMappingW(file.value, nullptr, PAGE_READONLY, 0, 0, nullptr));
    void * view = mapping.value == nullptr ? nullptr : MapViewOfFile(mapping.value, FILE_MAP_READ, 0, 0, 0);
    if (view == nullptr) {
        fail("map", path);
    }
    data_ = static_cast<const std::byte *>(view);
}

mapped_file::mapped_file(mapped_file && other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      modified_(other.modified_) {}

mapped_file::~mapped_file() {
    if (data_ != nullptr) {
        UnmapViewOfFile(data_);
    }
}

void mapped_file::discard_pages(uint64_t offset, uint64_t length) const {
    if (length > 0) {
        // Unlocking pages that are not locked fails, but takes them out of the process's working set.
        static_cast<void>(VirtualUnlock(const_cast<std::byte *>(data_) + offset, length));
    }
}

}  // namespace safelight
