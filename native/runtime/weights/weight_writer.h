#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/cancel.h"
#include "runtime/weights/weight_plan.h"

namespace safelight {

struct write_options {
    int threads;
    const cancel_token & cancel;
    std::function<void(uint64_t done, uint64_t total)>
        progress;  // in bytes written; called on any thread, one call at a time
};

// Converts every entry of the plan and writes it to the existing file `path`, entry i from byte `offsets[i]`
// on. Needs memory for one piece of 65,536 elements per thread. Throws FILE_NOT_WRITTEN, INVALID_FILE,
// SHAPE_MISMATCH, INVALID_OPTION, ABORTED.
void write_weights(const weight_plan & plan, const std::vector<uint64_t> & offsets, const std::string & path,
                   const write_options & options);

}  // namespace safelight
