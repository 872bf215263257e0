#pragma once

#include <cstdint>
#include <string>

namespace safelight {

// Bytes that can be allocated now without swapping, also under a container's limit; 0 where the system does
// not say.
uint64_t available_memory();

// Throws OUT_OF_MEMORY where `bytes` are more than `available` (0: unknown, never throws). Linux hands out
// memory that it does not have and kills the process later, so the question comes first.
void require_memory(uint64_t bytes, uint64_t available, const std::string & purpose);

// Gives freed memory back to the system. glibc keeps what threads freed for their like; a module's buffers
// come on a new thread each time, so that several times the need would stay.
void return_freed_memory();

[[noreturn]] void out_of_memory(uint64_t bytes, const std::string & purpose);

}  // namespace safelight
