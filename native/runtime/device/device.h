#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ggml-backend.h"

namespace safelight {

struct device_info {
    std::string name;  // cpu, cuda, metal or vulkan
    std::string device, description;
    std::string type;  // cpu, gpu, or integrated: a GPU that shares the machine's memory
    uint64_t memory_free, memory_total;
};

// A device that the driver lists but ggml does not use.
struct skipped_device {
    std::string description, reason;
};

// Returns all devices of the compiled backends, without opening them.
std::vector<device_info> devices();

// Returns the devices that the driver lists but the compiled backend skips, with the reasons.
std::vector<skipped_device> skipped_devices();

// Returns a device by our backend name (cpu, cuda, metal, vulkan) and ggml's device name; an empty device
// name selects the backend's first device. Throws BACKEND_UNAVAILABLE.
ggml_backend_dev_t find_device(const std::string & backend, const std::string & device = "");

// Opens the device and closes it again. Throws BACKEND_UNAVAILABLE; a faulty driver may also crash the
// process.
void try_device(const std::string & backend, const std::string & device);

// Returns the bytes that can be allocated on the device now; 0 if unknown.
uint64_t available_memory(ggml_backend_dev_t device);

}  // namespace safelight
