#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/cancel.h"
#include "runtime/weights/weight_plan.h"

namespace safelight {

// Rows [begin, end) of an entry, as a matrix with `row` columns.
struct row_range {
    int64_t row, begin, end;
};

// Changes of values before they are written. Called on any thread.
class value_changes {
  public:
    virtual ~value_changes() = default;
    virtual bool contain(const weight_entry & entry) const = 0;
    // Returns true if any rows of an entry can be changed without the others.
    virtual bool divisible() const { return false; }
    // Changes the values of rows; of a whole entry unless the changes are divisible.
    virtual void apply(const weight_entry & entry, const row_range & rows,
                       std::vector<float> & values) const = 0;
    // Called when an entry is written.
    virtual void release(const weight_entry & /*entry*/) const {}
};

struct write_options {
    int threads;
    const cancel_token & cancel;
    std::function<void(uint64_t done, uint64_t total)>
        progress;  // in bytes written; called on any thread, one call at a time
    const value_changes * changes = nullptr;
};

// Converts every entry of the plan and writes it to the existing file `path`, entry i from byte `offsets[i]`
// on. Needs memory for one piece of 65,536 elements per thread, or for a changed entry in f32 if its changes
// are not divisible. Throws
// FILE_NOT_WRITTEN, INVALID_FILE, SHAPE_MISMATCH, INVALID_OPTION, ABORTED, and what a change throws.
void write_weights(const weight_plan & plan, const std::vector<uint64_t> & offsets, const std::string & path,
                   const write_options & options);

}  // namespace safelight
