#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

namespace safelight {

// A JSON-like value passed from JavaScript (ConfigValue in lib/binding/types.ts). Reading a field that is
// missing or has another type throws INVALID_OPTION with the field's name.
class config {
  public:
    using array = std::vector<config>;
    using object = std::map<std::string, config>;
    using value = std::variant<std::nullptr_t, bool, double, std::string, array, object>;

    config() : value_(nullptr) {}
    explicit config(value v) : value_(std::move(v)) {}

    bool has(const std::string & key) const;           // present and not null
    const config & at(const std::string & key) const;  // a field of an object
    int64_t integer(const std::string & key) const;    // an integral number
    int64_t integer(const std::string & key, int64_t fallback) const;
    double number(const std::string & key) const;
    double number(const std::string & key, double fallback) const;
    bool boolean(const std::string & key) const;
    bool boolean(const std::string & key, bool fallback) const;
    const std::string & text(const std::string & key) const;
    std::vector<int64_t> integers(const std::string & key) const;
    std::vector<bool> booleans(const std::string & key) const;
    const value & raw() const { return value_; }

  private:
    value value_;
};

}  // namespace safelight
