#pragma once

#include <napi.h>

#include <map>
#include <string>

#include "runtime/error.h"

namespace safelight {

// Checked conversions of JavaScript values. They throw INVALID_OPTION with the expected type and `name`.

[[noreturn]] void expected(const std::string & what, const std::string & name);
Napi::Object object(const Napi::Value & value, const std::string & name);
Napi::Array array(const Napi::Value & value, const std::string & name);
std::string to_text(const Napi::Value & value, const std::string & name);
int64_t integer(const Napi::Value & value, const std::string & name);  // a safe integer of JavaScript
uint64_t natural(const Napi::Value & value, const std::string & name);
float number(const Napi::Value & value, const std::string & name);
bool flag(const Napi::Object & from, const char * key);  // false if undefined
int to_threads(const Napi::Value & value);

// Returns the choice with the given name.
template <typename T>
T one_of(const Napi::Value & value, const std::string & name, const std::map<std::string, T> & choices) {
    std::string text = to_text(value, name);
    auto found = choices.find(text);
    if (found == choices.end()) {
        std::string list;
        for (const auto & [choice, ignored] : choices) {
            list += (list.empty() ? "" : ", ") + choice;
        }
        throw error("INVALID_OPTION", "Expected one of " + list + " for " + name + " but received " + text);
    }
    return found->second;
}

}  // namespace safelight
