// GCC's unwinder, linked statically, finds stack frames by _dl_find_object, which is glibc 2.35's. The linker
// wraps that call (CMakeLists.txt) so that the same binary runs on glibc 2.34 (RHEL 9, Amazon Linux 2023), by
// the older dl_iterate_phdr.
#if defined(__linux__) && defined(SAFELIGHT_WRAP_DL_FIND_OBJECT)

#include <dlfcn.h>
#include <link.h>

#include <cstdint>

namespace {

struct search {
    uintptr_t address;
    dl_find_object * found;
};

int look(dl_phdr_info * object, size_t, void * data) {
    auto * wanted = static_cast<search *>(data);
    bool inside = false;
    dl_find_object & out = *wanted->found;
    out.dlfo_eh_frame = nullptr;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) & segment = object->dlpi_phdr[i];
        uintptr_t begin = object->dlpi_addr + segment.p_vaddr, end = begin + segment.p_memsz;
        if (segment.p_type == PT_LOAD && wanted->address >= begin && wanted->address < end) {
            inside = true;
            out.dlfo_map_start = reinterpret_cast<void *>(begin);
            out.dlfo_map_end = reinterpret_cast<void *>(end);
        } else if (segment.p_type == PT_GNU_EH_FRAME) {
            out.dlfo_eh_frame = reinterpret_cast<void *>(begin);
        }
    }
    return inside && out.dlfo_eh_frame != nullptr ? 1 : 0;
}

}  // namespace

extern "C" int __wrap__dl_find_object(void * address, dl_find_object * found);

// As glibc's: 0 where an object with unwinding data holds the address.
extern "C" int __wrap__dl_find_object(void * address, dl_find_object * found) {
    *found = {};
    search wanted = {reinterpret_cast<uintptr_t>(address), found};
    return dl_iterate_phdr(look, &wanted) == 1 ? 0 : -1;
}

#endif
