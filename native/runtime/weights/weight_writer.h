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
        progress;  // bytes written; from any thread, one at a time
};

// Converts every entry of the plan and writes it to the file `path`, which exists, from its byte of `offsets`
// on. Memory is that of a piece a thread. Throws FILE_NOT_WRITTEN, INVALID_FILE, SHAPE_MISMATCH,
// INVALID_OPTION, ABORTED.
void write_weights(const weight_plan & plan, const std::vector<uint64_t> & offsets, const std::string & path,
                   const write_options & how);

}  // namespace safelight
