#include "runtime/config.h"

#include <cmath>

#include "runtime/error.h"

namespace safelight {

namespace {

constexpr double largest_integer = 9007199254740991.0;  // 2^53 - 1, JavaScript's Number.MAX_SAFE_INTEGER

template <typename T>
const T & expect(const config & field, const std::string & key, const char * expected) {
    if (const T * found = std::get_if<T>(&field.raw())) {
        return *found;
    }
    throw error("INVALID_OPTION", std::string("Expected ") + expected + " for " + key + " in the config");
}

int64_t as_integer(const config & field, const std::string & key) {
    double n = expect<double>(field, key, "an integer");
    if (!(std::fabs(n) <= largest_integer) || n != std::floor(n)) {
        throw error("INVALID_OPTION", "Expected an integer for " + key + " in the config");
    }
    return static_cast<int64_t>(n);
}

}  // namespace

bool config::has(const std::string & key) const {
    const object * fields = std::get_if<object>(&value_);
    if (!fields) {
        return false;
    }
    auto found = fields->find(key);
    return found != fields->end() && !std::holds_alternative<std::nullptr_t>(found->second.value_);
}

const config & config::at(const std::string & key) const {
    const object & fields = expect<object>(*this, key, "an object with this field");
    auto found = fields.find(key);
    if (found == fields.end()) {
        throw error("INVALID_OPTION", "The config has no field " + key);
    }
    return found->second;
}

int64_t config::integer(const std::string & key) const {
    return as_integer(at(key), key);
}

int64_t config::integer(const std::string & key, int64_t fallback) const {
    return has(key) ? integer(key) : fallback;
}

double config::number(const std::string & key) const {
    return expect<double>(at(key), key, "a number");
}

double config::number(const std::string & key, double fallback) const {
    return has(key) ? number(key) : fallback;
}

bool config::boolean(const std::string & key) const {
    return expect<bool>(at(key), key, "a boolean");
}

bool config::boolean(const std::string & key, bool fallback) const {
    return has(key) ? boolean(key) : fallback;
}

const std::string & config::text(const std::string & key) const {
    return expect<std::string>(at(key), key, "a string");
}

std::vector<int64_t> config::integers(const std::string & key) const {
    std::vector<int64_t> out;
    for (const config & item : expect<array>(at(key), key, "an array of integers")) {
        out.push_back(as_integer(item, key));
    }
    return out;
}

std::vector<bool> config::booleans(const std::string & key) const {
    std::vector<bool> out;
    for (const config & item : expect<array>(at(key), key, "an array of booleans")) {
        out.push_back(expect<bool>(item, key, "an array of booleans"));
    }
    return out;
}

}  // namespace safelight
