#pragma once

#include <cstdint>

namespace safelight {

// Returns the bytes that can be allocated now without swapping, within the limit of a container or job
// object; 0 if the system does not report it.
uint64_t available_memory();

}  // namespace safelight
