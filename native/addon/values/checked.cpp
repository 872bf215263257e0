#include "addon/values/checked.h"

#include <cmath>

#include "runtime/threads.h"

namespace safelight {

void expected(const std::string & what, const std::string & name) {
    throw error("INVALID_OPTION", "Expected " + what + " for " + name);
}

Napi::Object object(const Napi::Value & value, const std::string & name) {
    if (!value.IsObject()) {
        expected("an object", name);
    }
    return value.As<Napi::Object>();
}

Napi::Array array(const Napi::Value & value, const std::string & name) {
    if (!value.IsArray()) {
        expected("an array", name);
    }
    return value.As<Napi::Array>();
}

int64_t integer(const Napi::Value & value, const std::string & name) {
    double n = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
    if (n != std::floor(n) || std::fabs(n) > 9007199254740991.0) {
        expected("an integer", name);
    }
    return static_cast<int64_t>(n);
}

uint64_t natural(const Napi::Value & value, const std::string & name) {
    int64_t n = integer(value, name);
    if (n < 0) {
        expected("an integer of at least 0", name);
    }
    return static_cast<uint64_t>(n);
}

float number(const Napi::Value & value, const std::string & name) {
    if (!value.IsNumber()) {
        expected("a number", name);
    }
    return value.As<Napi::Number>().FloatValue();
}

bool flag(const Napi::Object & from, const char * key) {
    Napi::Value value = from.Get(key);
    if (value.IsUndefined()) {
        return false;
    }
    if (!value.IsBoolean()) {
        expected("a boolean", key);
    }
    return value.As<Napi::Boolean>().Value();
}

std::string to_text(const Napi::Value & value, const std::string & name) {
    if (!value.IsString()) {
        expected("a string", name);
    }
    return value.As<Napi::String>().Utf8Value();
}

int to_threads(const Napi::Value & value) {
    int64_t threads = integer(value, "threads");
    if (threads < 0 || threads > max_threads) {
        throw error("INVALID_OPTION", "Expected integer between 0 and " + std::to_string(max_threads) +
                                          " for threads but received " + std::to_string(threads));
    }
    return static_cast<int>(threads);
}

}  // namespace safelight
