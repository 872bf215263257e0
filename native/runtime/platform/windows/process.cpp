#include "runtime/platform/process.h"

#include <cstdlib>

#include "runtime/platform/windows/system.h"

namespace safelight {

void set_default_variable(const char * name, const char * value) {
    if (std::getenv(name) == nullptr) {
        _putenv_s(name, value);
    }
}

// exit and _Exit would run the exit handlers of every loaded library.
void end_process(int code) {
    TerminateProcess(GetCurrentProcess(), static_cast<UINT>(code));
    std::abort();  // not reached
}

}  // namespace safelight
