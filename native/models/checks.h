#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/graph/graph.h"

namespace safelight {

// What a module accepts is checked here, before ggml sees it: ggml ends the process at a shape it does not
// like.

// Fields of a config; UNSUPPORTED_MODEL where a number is outside [low, high] or a list has another length.
int64_t config_integer(const config & cfg, const char * key, int64_t low, int64_t high);
double config_number(const config & cfg, const char * key, double low, double high);
std::vector<int64_t> config_integers(const config & cfg, const char * key, size_t count, int64_t low,
                                     int64_t high);
std::vector<bool> config_booleans(const config & cfg, const char * key, size_t count);
// UNSUPPORTED_MODEL unless `whole` is a multiple of `part`.
void require_divides(int64_t part, const char * part_name, int64_t whole, const char * whole_name);

using input_shapes = std::map<std::string, shape>;

constexpr int64_t any = -1;

// The shape of an input, checked against a pattern: `names` gives each dimension's letter, `pattern` its
// value or `any` (which is then at least 1). SHAPE_MISMATCH says what was expected.
const shape & input_shape(const input_shapes & inputs, const char * input,
                          const std::vector<const char *> & names, const shape & pattern);
// INVALID_OPTION for an input that is none of these, or that is needed and missing.
void require_inputs(const input_shapes & inputs, const std::vector<const char *> & needed,
                    const std::vector<const char *> & optional = {});
// INVALID_OPTION where one activation would have 2^31 numbers or more (8 GiB), which some kernels cannot
// count.
void require_countable(const shape & dims);
// INVALID_OPTION: this kind of module has no such entry.
[[noreturn]] void unknown_entry(const std::string & entry);

}  // namespace safelight
