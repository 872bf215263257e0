#pragma once

#include <cstdint>
#include <string>

namespace safelight {

// `unsupported`: the file system has no locks.
enum class lock_state { locked, busy, unsupported };

// An exclusive lock on a file, between processes and between the locks of one process. Released by the
// destructor and by the end of the process, however it ends. On POSIX systems it is flock(2), on Windows a
// lock of one byte: both are what Python's `filelock` uses.
class file_lock {
  public:
    // Opens the file, creating it if needed, and tries to lock it without waiting. `byte` is the position of
    // the byte that Windows locks, which no other handle can read or write; it may be beyond the end of the
    // file. Throws FILE_NOT_WRITTEN if the file cannot be opened.
    file_lock(const std::string & path, uint64_t byte);
    ~file_lock();
    file_lock(const file_lock &) = delete;
    file_lock & operator=(const file_lock &) = delete;

    lock_state state() const { return state_; }
    void release();  // may be called twice

  private:
    lock_state state_ = lock_state::busy;
    intptr_t file_ = -1;  // descriptor or HANDLE
};

}  // namespace safelight
