#include "runtime/device/device.h"

// ggml's Vulkan backend silently skips software devices and devices that lack features its shaders need. This
// file finds them and the reasons, for users whose device is not listed.

#ifdef SAFELIGHT_VULKAN

#include <vulkan/vulkan.h>

#include <cstdlib>

namespace safelight {

namespace {

// Returns true if the device has 16-bit storage buffers, which ggml requires.
bool supports_16bit_storage(VkPhysicalDevice device) {
    VkPhysicalDevice16BitStorageFeatures halves = {};
    halves.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES;
    VkPhysicalDeviceFeatures2 features = {};
    features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    features.pNext = &halves;
    vkGetPhysicalDeviceFeatures2(device, &features);
    return halves.storageBuffer16BitAccess == VK_TRUE;
}

std::vector<skipped_device> find_skipped(VkInstance instance) {
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
        if (!supports_16bit_storage(found[i])) {
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
    VkInstanceCreateInfo create_info = {};
    create_info.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO;
    create_info.pApplicationInfo = &application;
    VkInstance instance = VK_NULL_HANDLE;
    if (vkCreateInstance(&create_info, nullptr, &instance) != VK_SUCCESS) {
        return {};
    }
    std::vector<skipped_device> out = find_skipped(instance);
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
