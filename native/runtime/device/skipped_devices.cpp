#include "runtime/device/device.h"

// ggml's Vulkan backend passes over software devices, and over those that lack what its shaders need, without
// a word. Whoever misses a device wants to know.

#ifdef SAFELIGHT_VULKAN

#include <vulkan/vulkan.h>

#include <cstdlib>

namespace safelight {

namespace {

// As ggml asks: 16-bit values in storage buffers.
bool stores_halves(VkPhysicalDevice device) {
    VkPhysicalDevice16BitStorageFeatures halves = {};
    halves.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES;
    VkPhysicalDeviceFeatures2 features = {};
    features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    features.pNext = &halves;
    vkGetPhysicalDeviceFeatures2(device, &features);
    return halves.storageBuffer16BitAccess == VK_TRUE;
}

std::vector<skipped_device> listed(VkInstance instance) {
    uint32_t count = 0;
    vkEnumeratePhysicalDevices(instance, &count, nullptr);
    std::vector<VkPhysicalDevice> found(count);
    vkEnumeratePhysicalDevices(instance, &count, found.data());
    found.resize(count);
    std::vector<skipped_device> out;
    for (size_t i = 0; i < found.size(); i++) {
        VkPhysicalDeviceProperties properties = {};
        vkGetPhysicalDeviceProperties(found[i], &properties);
        std::string name = properties.deviceName;
        if (!stores_halves(found[i])) {
            out.push_back({name, "it has no 16-bit storage, which ggml's shaders need"});
        } else if (properties.deviceType == VK_PHYSICAL_DEVICE_TYPE_CPU &&
                   std::getenv("GGML_VK_VISIBLE_DEVICES") == nullptr) {
            out.push_back({name, "it is a software device; GGML_VK_VISIBLE_DEVICES=" + std::to_string(i) +
                                     " allows it"});
        }
    }
    return out;
}

}  // namespace

std::vector<skipped_device> skipped_devices() {
    VkApplicationInfo application = {};
    application.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO;
    application.apiVersion = VK_API_VERSION_1_2;
    VkInstanceCreateInfo wanted = {};
    wanted.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
    wanted.pApplicationInfo = &application;
    VkInstance instance = VK_NULL_HANDLE;
    if (vkCreateInstance(&wanted, nullptr, &instance) != VK_SUCCESS) {
        return {};
    }
    std::vector<skipped_device> out = listed(instance);
    vkDestroyInstance(instance, nullptr);
    return out;
}

}  // namespace safelight

#else

namespace safelight {

std::vector<skipped_device> skipped_devices() {
    return {};
}

}  // namespace safelight

#endif
