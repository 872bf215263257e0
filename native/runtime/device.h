#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ggml-backend.h"

namespace safelight {

struct device_info {
    std::string name;  // cpu, cuda, metal or vulkan
    std::string device, description;
    uint64_t memory_free, memory_total;
};

// Every device of the backends compiled in.
std::vector<device_info> devices();

// The first device of a backend by our name for it. Throws BACKEND_UNAVAILABLE.
ggml_backend_dev_t find_device(const std::string & name);

// Bytes that can be allocated on the device now; 0 if unknown.
uint64_t available_memory(ggml_backend_dev_t device);

}  // namespace safelight
