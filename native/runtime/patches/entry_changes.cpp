#include "runtime/patches/entry_changes.h"

#include <algorithm>
#include <cmath>

#include "runtime/device/device.h"
#include "runtime/patches/apply_patch.h"

namespace safelight {

namespace {

// [rows, columns] -> [columns, rows]
std::vector<float> turned(const std::vector<float> & from, int64_t rows, int64_t columns) {
    std::vector<float> out(from.size());
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < columns; j++) {
            out[static_cast<size_t>(j * rows + i)] = from[static_cast<size_t>(i * columns + j)];
        }
    }
    return out;
}

}  // namespace

entry_changes::entry_changes(const patch_plan & plan, const weight_plan & entries,
                             std::set<std::string> transposed, int threads, const cancel_token & cancel)
    : transposed_(std::move(transposed)), cancel_(cancel) {
    std::set<std::string> names;
    for (const weight_entry & entry : entries.entries) names.insert(entry.name);
    for (const weight_patch & patch : plan.patches) {
        if (names.count(patch.target) == 0 || plan.merged.count(patch.target) == 0) {
            throw error("ADAPTER_MISMATCH", "The file has no parameter " + patch.target + " to patch");
        }
        patches_[patch.target].push_back(&patch);
    }
    for (const weight_entry & entry : plan.weights.entries) factor_entries_[entry.name] = &entry;
    weights::options reading{find_device("cpu"), threads, /*map*/ true, cancel, [](uint64_t, uint64_t) {}};
    factors_ = std::make_unique<weights>(plan.weights, merged_factors(plan), reading);
}

bool entry_changes::contain(const weight_entry & entry) const {
    return patches_.count(entry.name) > 0;
}

void entry_changes::apply(const weight_entry & entry, const row_range & /*rows*/,
                          std::vector<float> & values) const {
    shape dims = entry.dims;
    bool turns = transposed_.count(entry.name) > 0 && dims.size() == 2;
    if (turns) {
        values = turned(values, dims[0], dims[1]);
        std::swap(dims[0], dims[1]);
    }
    for (const weight_patch * patch : patches_.at(entry.name)) {
        cancel_.throw_if_cancelled();
        apply_patch(patch_factors(*patch, *factors_, factor_entries_), values, dims);
    }
    if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); })) {
        throw error("NOT_FINITE",
                    "The patched parameter " + entry.name +
                        " contains NaN or infinite values: an adapter is damaged, or its weight is "
                        "too large");
    }
    if (turns) values = turned(values, dims[0], dims[1]);
}

}  // namespace safelight
