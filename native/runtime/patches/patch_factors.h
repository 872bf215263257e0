#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/patches/weight_patch.h"
#include "runtime/weights/weights.h"

namespace safelight {

// A factor of a patch in f32.
struct factor_values {
    std::vector<float> data;
    shape dims;

    int64_t side(size_t dim) const { return dim < dims.size() ? dims[dim] : 1; }
};

// The factors of one patch, read from its set's weights when they are first needed.
class patch_factors {
  public:
    patch_factors(const weight_patch & patch, weights & source,
                  const std::map<std::string, const weight_entry *> & entries)
        : patch_(patch), source_(source), entries_(entries) {}

    const weight_patch & patch() const { return patch_; }
    bool has(const std::string & role) const { return patch_.named(role) != nullptr; }
    // Throws ADAPTER_MISMATCH if the patch has no such factor.
    factor_values read(const std::string & role) const;
    // The same; throws ADAPTER_MISMATCH unless it has exactly `dims`, up to ones.
    factor_values read(const std::string & role, const shape & dims) const;
    [[noreturn]] void mismatch(const std::string & role, const shape & found,
                               const std::string & wanted) const;

  private:
    const weight_patch & patch_;
    weights & source_;
    const std::map<std::string, const weight_entry *> & entries_;
};

// Values of a parameter on any device, in f32.
std::vector<float> read_parameter(const ggml_tensor * from);

}  // namespace safelight
