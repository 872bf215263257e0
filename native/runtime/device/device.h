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

// A device of the machine that ggml does not offer.
struct skipped_device {
    std::string description, reason;
};

// Every device of the backends compiled in, opened or not.
std::vector<device_info> devices();

// Devices that the driver lists and the backend compiled in passes over.
std::vector<skipped_device> skipped_devices();

// A device of a backend, by our name of the backend and ggml's of the device; the backend's first for an
// empty one. Throws BACKEND_UNAVAILABLE.
ggml_backend_dev_t find_device(const std::string & backend, const std::string & device = "");

// Opens the device and closes it again. Throws BACKEND_UNAVAILABLE; a driver that fails may also end the
// process.
void try_device(const std::string & backend, const std::string & device);

// Bytes that can be allocated on the device now; 0 if unknown.
uint64_t available_memory(ggml_backend_dev_t device);

}  // namespace safelight
