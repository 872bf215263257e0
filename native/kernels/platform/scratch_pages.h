#pragma once

#include <cstddef>

namespace safelight::kernels {

// Returns pages mapped directly from the system, where huge ones help; null if there is not enough memory.
// They are freed with the thread, whereas malloc would retain megabytes in the arena of every thread that
// ever ran. The kernels do not depend on native/runtime, so they do not share its pages.h.
void * map_scratch(size_t bytes);
void unmap_scratch(void * pages, size_t bytes);

}  // namespace safelight::kernels
