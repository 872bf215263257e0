#include "models/checks.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace safelight {
namespace {

[[noreturn]] void unsupported(const std::string & message) {
    throw error("UNSUPPORTED_MODEL", message);
}

std::string between(double low, double high) {
    auto text = [](double n) {
        std::string digits = std::to_string(n);
        return n == static_cast<double>(static_cast<int64_t>(n)) ? std::to_string(static_cast<int64_t>(n))
                                                                 : digits;
    };
    return "between " + text(low) + " and " + text(high);
}

void require_between(const std::string & key, double value, double low, double high) {
    if (value >= low && value <= high) return;  // false for NaN too
    unsupported("Expected " + key + " " + between(low, high) + " in the model's config but found " +
                std::to_string(value));
}

void require_count(const char * key, size_t found, size_t expected) {
    if (found == expected) return;
    unsupported("Expected one value of " + std::string(key) + " for each of the " + std::to_string(expected) +
                " levels in the model's config but found " + std::to_string(found));
}

std::string format_shape(const std::vector<const char *> & names, const shape & pattern) {
    std::string text = "[";
    for (size_t i = 0; i < names.size(); ++i) {
        text += (i ? ", " : "") + (pattern[i] == any ? std::string(names[i]) : std::to_string(pattern[i]));
    }
    return text + "]";
}

std::string format_shape(const shape & dims) {
    return format_shape(std::vector<const char *>(dims.size(), ""), dims);
}

bool listed(const std::vector<const char *> & names, const std::string & name) {
    return std::any_of(names.begin(), names.end(), [&](const char * n) { return name == n; });
}

}  // namespace

int64_t config_integer(const config & cfg, const char * key, int64_t low, int64_t high) {
    int64_t value = cfg.integer(key);
    require_between(key, static_cast<double>(value), static_cast<double>(low), static_cast<double>(high));
    return value;
}

double config_number(const config & cfg, const char * key, double low, double high) {
    double value = cfg.number(key);
    require_between(key, value, low, high);
    return value;
}

std::vector<int64_t> config_integers(const config & cfg, const char * key, size_t count, int64_t low,
                                     int64_t high) {
    std::vector<int64_t> values = cfg.integers(key);
    require_count(key, values.size(), count);
    for (int64_t value : values) {
        require_between(key, static_cast<double>(value), static_cast<double>(low), static_cast<double>(high));
    }
    return values;
}

std::vector<bool> config_booleans(const config & cfg, const char * key, size_t count) {
    std::vector<bool> values = cfg.booleans(key);
    require_count(key, values.size(), count);
    return values;
}

void require_divides(int64_t divisor, const char * divisor_name, int64_t value, const char * value_name) {
    if (value % divisor == 0) return;
    unsupported("Expected " + std::string(value_name) + " to be a multiple of " + divisor_name +
                " in the model's config but found " + std::to_string(value) + " and " +
                std::to_string(divisor));
}

const shape & input_shape(const input_shapes & inputs, const char * input,
                          const std::vector<const char *> & names, const shape & pattern) {
    const shape & dims = inputs.at(input);
    bool fits = dims.size() == pattern.size();
    for (size_t i = 0; fits && i < dims.size(); ++i) {
        fits = dims[i] > 0 && (pattern[i] == any || dims[i] == pattern[i]);
    }
    if (!fits) {
        throw error("SHAPE_MISMATCH", "Expected " + std::string(input) + " of shape " +
                                          format_shape(names, pattern) + " but received " +
                                          format_shape(dims));
    }
    require_countable(dims);
    return dims;
}

void require_inputs(const input_shapes & inputs, const std::vector<const char *> & needed,
                    const std::vector<const char *> & optional) {
    for (const char * name : needed) {
        if (!inputs.count(name))
            throw error("INVALID_OPTION", "Expected an input named " + std::string(name));
    }
    for (const auto & [name, dims] : inputs) {
        if (!listed(needed, name) && !listed(optional, name)) {
            throw error("INVALID_OPTION", "This model has no input named " + name);
        }
    }
}

void require_countable(const shape & dims) {
    constexpr int64_t max_elements = std::numeric_limits<int32_t>::max();
    int64_t count = 1;
    for (int64_t n : dims) {
        if (n > max_elements / count) {
            throw error("INVALID_OPTION", "A layer of shape " + format_shape(dims) +
                                              " is too large; reduce the image size or the batch size");
        }
        count *= n;
    }
}

void throw_unknown_entry(const std::string & entry) {
    throw error("INVALID_OPTION", "This kind of model has no entry named " + entry);
}

}  // namespace safelight
