#pragma once

#include <mutex>
#include <optional>
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

// Returns the rows or columns that a patch changes, by default all. Throws ADAPTER_MISMATCH for a range
// beyond `count`; `what` names it in the message.
weight_patch::range part_of(const std::optional<weight_patch::range> & part, int64_t count,
                            const weight_patch & patch, const char * what);

// Reads a parameter from any device, as f32, or writes it in the type of the tensor. Threads that share a
// device pass a mutex, which is locked while bytes are copied from or to the device.
std::vector<float> read_parameter(const ggml_tensor * from, std::mutex * device = nullptr);
void write_parameter(const std::vector<float> & values, tensor to, std::mutex * device = nullptr);

}  // namespace safelight
