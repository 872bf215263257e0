#include "runtime/device/device.h"

#include <map>
#include <memory>

#include "runtime/error.h"
#include "runtime/memory.h"

namespace safelight {

namespace {

// Returns our name of the device's ggml backend; empty for unsupported ones (BLAS and other accelerators).
std::string backend_name(ggml_backend_dev_t device) {
    static const std::map<std::string, std::string> names = {
        {"CPU", "cpu"}, {"CUDA", "cuda"}, {"Metal", "metal"}, {"MTL", "metal"}, {"Vulkan", "vulkan"}};
    auto found = names.find(ggml_backend_reg_name(ggml_backend_dev_backend_reg(device)));
    return found == names.end() ? "" : found->second;
}

std::string type_name(ggml_backend_dev_t device) {
    switch (ggml_backend_dev_type(device)) {
        case GGML_BACKEND_DEVICE_TYPE_CPU:
            return "cpu";
        case GGML_BACKEND_DEVICE_TYPE_IGPU:
            return "integrated";
        default:
            return "gpu";
    }
}

}  // namespace

std::vector<device_info> devices() {
    std::vector<device_info> out;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        std::string name = backend_name(device);
        if (!name.empty()) {
            size_t free = 0, total = 0;
            ggml_backend_dev_memory(device, &free, &total);
            out.push_back({name, ggml_backend_dev_name(device), ggml_backend_dev_description(device),
                           type_name(device), name == "cpu" ? available_memory() : free, total});
        }
    }
    return out;
}

ggml_backend_dev_t find_device(const std::string & backend, const std::string & device) {
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t found = ggml_backend_dev_get(i);
        if (backend_name(found) == backend && (device.empty() || device == ggml_backend_dev_name(found))) {
            return found;
        }
    }
    std::string subject =
        device.empty() ? "The backend " + backend : "The device " + device + " of the backend " + backend;
    throw error("BACKEND_UNAVAILABLE",
                subject +
                    " is not available; `npx safelight backends` lists the available ones and "
                    "`npx safelight build --" +
                    backend + "` compiles a backend");
}

void try_device(const std::string & backend, const std::string & device) {
    ggml_backend_dev_t found = find_device(backend, device);
    std::string reason = "check that its driver is installed and its memory is free";
    try {
        std::unique_ptr<ggml_backend, decltype(&ggml_backend_free)> opened(
            ggml_backend_dev_init(found, nullptr), ggml_backend_free);
        if (opened) {
            return;
        }
    } catch (const std::exception & failure) {
        reason = failure.what();
    }
    throw error("BACKEND_UNAVAILABLE", std::string("The device ") + ggml_backend_dev_name(found) + " (" +
                                           ggml_backend_dev_description(found) +
                                           ") cannot be opened: " + reason);
}

uint64_t available_memory(ggml_backend_dev_t device) {
    if (ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_CPU) {
        return available_memory();
    }
    size_t free = 0, total = 0;
    ggml_backend_dev_memory(device, &free, &total);
    return free;
}

}  // namespace safelight
