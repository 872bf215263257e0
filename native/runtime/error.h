#pragma once

#include <stdexcept>
#include <string>

namespace safelight {

// A failure with a code of lib/errors.ts; the addon turns it into a typed JavaScript error.
class error : public std::runtime_error {
  public:
    error(const char * code, const std::string & message) : std::runtime_error(message), code_(code) {}
    const char * code() const noexcept { return code_; }

  private:
    const char * code_;  // a string literal
};

}  // namespace safelight
