#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/cancel.h"
#include "runtime/weights/weight_plan.h"

namespace safelight {

// Changes of values before they are written.
class value_changes {
  public:
    virtual ~value_changes() = default;
    virtual bool contain(const weight_entry & entry) const = 0;
    // Changes the values of a whole entry. Called on any thread.
    virtual void apply(const weight_entry & entry, std::vector<float> & values) const = 0;
};

struct write_options {
    int threads;
    const cancel_token & cancel;
    std::function<void(uint64_t done, uint64_t total)>
        progress;  // in bytes written; called on any thread, one call at a time
    const value_changes * changes = nullptr;
};

// Converts every entry of the plan and writes it to the existing file `path`, entry i from byte `offsets[i]`
// on. Needs memory for one piece of 65,536 elements per thread, or for a changed entry in f32. Throws
// FILE_NOT_WRITTEN, INVALID_FILE, SHAPE_MISMATCH, INVALID_OPTION, ABORTED, and what a change throws.
void write_weights(const weight_plan & plan, const std::vector<uint64_t> & offsets, const std::string & path,
                   const write_options & options);

}  // namespace safelight
