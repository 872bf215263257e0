#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>

namespace safelight {

// Unmaps memory after discarding its pages 4 MiB at a time. Unmapping gigabytes at once blocks other threads
// that allocate for up to a third of a second.
inline void unmap(void * pages, size_t bytes) {
    constexpr size_t piece = size_t{4} << 20;
    auto * from = static_cast<std::byte *>(pages);
    for (size_t done = 0; done < bytes; done += piece) {
        static_cast<void>(madvise(from + done, std::min(piece, bytes - done), MADV_DONTNEED));
    }
    munmap(pages, bytes);
}

}  // namespace safelight
