#include "runtime/platform/memory_limits.h"

#include <mach/mach.h>
#include <unistd.h>

namespace safelight {

uint64_t available_memory() {
    vm_statistics64_data_t pages = {};
    mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
    if (host_statistics64(mach_host_self(), HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&pages),
                          &count) != KERN_SUCCESS) {
        return 0;
    }
    uint64_t free = uint64_t(pages.free_count) + pages.inactive_count + pages.purgeable_count;
    return free * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace safelight
