// Binds the functions of Node-API at load time to the program that loaded the addon, whatever its name:
// node.exe, electron.exe, bun.exe or a program that embeds Node.js. An import library would bind them to
// node.exe alone, and loading the addon elsewhere would start a second Node.js in the process.
//
// The compiler calls a function that is declared with __declspec(dllimport) through the pointer __imp_NAME.
// An import library defines these pointers; here this file does. CMake writes node_api_names.inc from the
// list of names in node-api-headers, one SAFELIGHT_NODE_API(name) a line.

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

namespace {

// Stands in for a function that the program does not export, in a version of Node.js that is too old for it.
// Returns napi_generic_failure.
int missing_function() {
    return 9;
}

void * resolve(const char * name) {
    // Builds of Node.js as a shared library have these names.
    const HMODULE hosts[] = {GetModuleHandleW(nullptr), GetModuleHandleW(L"libnode.dll"),
                             GetModuleHandleW(L"node.dll")};
    for (HMODULE host : hosts) {
        FARPROC found = host == nullptr ? nullptr : GetProcAddress(host, name);
        if (found != nullptr) {
            return reinterpret_cast<void *>(found);
        }
    }
    return reinterpret_cast<void *>(missing_function);
}

}  // namespace

#define SAFELIGHT_NODE_API(name)    \
    extern "C" void * __imp_##name; \
    void * __imp_##name = resolve(#name);
#include "node_api_names.inc"
