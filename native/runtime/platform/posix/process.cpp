#include "runtime/platform/process.h"

#include <cstdlib>

namespace safelight {

void set_default_variable(const char * name, const char * value) {
    setenv(name, value, 0);
}

void end_process(int code) {
    std::_Exit(code);
}

}  // namespace safelight
