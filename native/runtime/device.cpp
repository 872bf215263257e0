#include "runtime/device.h"

#include <map>

#include "runtime/error.h"
#include "runtime/memory.h"

namespace safelight {

namespace {

// Our name of a ggml backend; empty for one that we do not offer (BLAS and other accelerators).
std::string name_of(ggml_backend_dev_t device) {
    static const std::map<std::string, std::string> names = {
        {"CPU", "cpu"}, {"CUDA", "cuda"}, {"Metal", "metal"}, {"MTL", "metal"}, {"Vulkan", "vulkan"}};
    auto found = names.find(ggml_backend_reg_name(ggml_backend_dev_backend_reg(device)));
    return found == names.end() ? "" : found->second;
}

}  // namespace

std::vector<device_info> devices() {
    std::vector<device_info> out;
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        std::string name = name_of(device);
        if (!name.empty()) {
            size_t free = 0, total = 0;
            ggml_backend_dev_memory(device, &free, &total);
            out.push_back({name, ggml_backend_dev_name(device), ggml_backend_dev_description(device),
                           name == "cpu" ? available_memory() : free, total});
        }
    }
    return out;
}

ggml_backend_dev_t find_device(const std::string & name) {
    for (size_t i = 0; i < ggml_backend_dev_count(); i++) {
        ggml_backend_dev_t device = ggml_backend_dev_get(i);
        if (name_of(device) == name) {
            return device;
        }
    }
    throw error("BACKEND_UNAVAILABLE",
                "The backend " + name +
                    " is not compiled in or has no device: `npx safelight backends` lists those there are, "
                    "`npx safelight build --" +
                    name + "` compiles one");
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
