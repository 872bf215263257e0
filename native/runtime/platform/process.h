#pragma once

namespace safelight {

// Sets an environment variable of the process unless it is set.
void set_default_variable(const char * name, const char * value);

// Ends the process without running destructors and exit handlers of native libraries.
[[noreturn]] void end_process(int code);

}  // namespace safelight
