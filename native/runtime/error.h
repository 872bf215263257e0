#pragma once

#include <stdexcept>
#include <string>

namespace safelight {

// An error with one of the codes in lib/errors.ts. The addon converts it to a typed JavaScript error.
class error : public std::runtime_error {
  public:
    error(const char * code, const std::string & message) : std::runtime_error(message), code_(code) {}
    const char * code() const noexcept { return code_; }

  private:
    const char * code_;  // a string literal
};

}  // namespace safelight
