// GCC's statically linked unwinder locates stack frames with _dl_find_object, which needs glibc 2.35. The
// linker redirects that call to this implementation on dl_iterate_phdr (--wrap in CMakeLists.txt), so that
// the same binary also runs on glibc 2.34 (RHEL 9, Amazon Linux 2023).
#if defined(__linux__) && defined(SAFELIGHT_WRAP_DL_FIND_OBJECT)

#include <dlfcn.h>
#include <link.h>

#include <cstdint>

namespace {

struct search {
    uintptr_t address;
    dl_find_object * found;
};

int visit_object(dl_phdr_info * object, size_t, void * data) {
    auto * request = static_cast<search *>(data);
    bool contains_address = false;
    dl_find_object & out = *request->found;
    out.dlfo_eh_frame = nullptr;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) & segment = object->dlpi_phdr[i];
        uintptr_t begin = object->dlpi_addr + segment.p_vaddr, end = begin + segment.p_memsz;
        if (segment.p_type == PT_LOAD && request->address >= begin && request->address < end) {
            contains_address = true;
            out.dlfo_map_start = reinterpret_cast<void *>(begin);
            out.dlfo_map_end = reinterpret_cast<void *>(end);
        } else if (segment.p_type == PT_GNU_EH_FRAME) {
            out.dlfo_eh_frame = reinterpret_cast<void *>(begin);
        }
    }
    return contains_address && out.dlfo_eh_frame != nullptr ? 1 : 0;
}

}  // namespace

extern "C" int __wrap__dl_find_object(void * address, dl_find_object * found);

// Like glibc's _dl_find_object: returns 0 if an object with unwind data contains the address, otherwise -1.
extern "C" int __wrap__dl_find_object(void * address, dl_find_object * found) {
    *found = {};
    search request = {reinterpret_cast<uintptr_t>(address), found};
    return dl_iterate_phdr(visit_object, &request) == 1 ? 0 : -1;
}

#endif
