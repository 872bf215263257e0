#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/graph/graph.h"

namespace safelight {

// Checks of configs and inputs. They run before ggml gets a shape, because ggml aborts the process on an
// invalid one.

// Return fields of a config. Throw UNSUPPORTED_MODEL for a number outside [low, high] or a list whose length
// is not `count`.
int64_t config_integer(const config & cfg, const char * key, int64_t low, int64_t high);
double config_number(const config & cfg, const char * key, double low, double high);
std::vector<int64_t> config_integers(const config & cfg, const char * key, size_t count, int64_t low,
                                     int64_t high);
std::vector<bool> config_booleans(const config & cfg, const char * key, size_t count);
// Throws UNSUPPORTED_MODEL unless `value` is a multiple of `divisor`.
void require_divides(int64_t divisor, const char * divisor_name, int64_t value, const char * value_name);

using input_shapes = std::map<std::string, shape>;

constexpr int64_t any = -1;

// Returns the shape of an input after checking it against a pattern: `names` has a letter for each dimension,
// `pattern` its size, or `any` for any positive size. Throws SHAPE_MISMATCH with the expected shape.
const shape & input_shape(const input_shapes & inputs, const char * input,
                          const std::vector<const char *> & names, const shape & pattern);
// Throws INVALID_OPTION if a needed input is missing or an input is neither needed nor optional.
void require_inputs(const input_shapes & inputs, const std::vector<const char *> & needed,
                    const std::vector<const char *> & optional = {});
// Throws INVALID_OPTION if an activation of this shape has 2^31 or more elements (8 GiB), which some kernels
// cannot index.
void require_countable(const shape & dims);
// Throws INVALID_OPTION: this kind of module has no such entry.
[[noreturn]] void throw_unknown_entry(const std::string & entry);

}  // namespace safelight
