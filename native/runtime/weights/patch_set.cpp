#include "runtime/weights/patch_set.h"

#include <cmath>

#include "runtime/graph/shape.h"

namespace safelight {

namespace {

// An SDXL LoRA changes about 1000 parameters.
constexpr size_t max_patches = 1 << 17;

[[noreturn]] void throw_mismatch(const std::string & what) {
    throw error("ADAPTER_MISMATCH", what);
}

weight_patch::range checked_range(const std::optional<weight_patch::range> & part, int64_t count,
                                  const weight_patch & patch, const char * what) {
    if (!part) return {0, count};
    if (part->begin < 0 || part->begin >= part->end || part->end > count) {
        throw_mismatch("A patch of " + patch.target + " changes " + what + " " + std::to_string(part->begin) +
                       " to " + std::to_string(part->end) + " of " + std::to_string(count));
    }
    return *part;
}

class set_builder {
  public:
    set_builder(const patch_plan & plan, const std::vector<weight_requirement> & module) {
        for (const weight_requirement & parameter : module) targets_.emplace(parameter.name, &parameter);
        for (const weight_entry & entry : plan.weights.entries) entries_.emplace(entry.name, &entry);
        if (plan.patches.size() > max_patches) {
            throw error("INVALID_OPTION",
                        "Expected at most " + std::to_string(max_patches) + " patches in a set");
        }
        for (const weight_patch & patch : plan.patches) add(patch);
    }

    std::vector<weight_requirement> required;  // factors to load, in the shapes that the targets require
    struct planned {
        weight_change change;  // tensors still null
        shape input_factor,
            up;  // shapes of the factor multiplied with the input and of `up`, empty for `full`
        weight_role role;
    };
    std::vector<planned> all;  // one per patch

  private:
    void add(const weight_patch & patch) {
        const weight_requirement & target = target_of(patch);
        weight_patch::range rows = checked_range(patch.rows, target.dims[0], patch, "rows");
        weight_patch::range columns = checked_range(patch.columns, target.dims[1], patch, "columns");
        shape input_factor = target.dims;
        input_factor[1] = columns.end - columns.begin;
        shape up;
        if (patch.full.empty()) {
            int64_t rank = rank_of(patch);
            input_factor[0] = rank;
            up = {rows.end - rows.begin, rank};
            require(patch, patch.down, input_factor, target.role);
            require(patch, patch.up, up, weight_role::matrix);
        } else {
            input_factor[0] = rows.end - rows.begin;
            require(patch, patch.full, input_factor, target.role);
        }
        weight_change change{nullptr, nullptr, patch.scale, rows.begin, rows.end, columns.begin, columns.end};
        all.push_back({change, input_factor, up, target.role});
    }

    const weight_requirement & target_of(const weight_patch & patch) const {
        auto found = targets_.find(patch.target);
        if (found == targets_.end())
            throw_mismatch("The module has no parameter " + patch.target + " to patch");
        const weight_requirement & target = *found->second;
        bool multiplies = target.role == weight_role::matrix || target.role == weight_role::conv;
        if (!multiplies || target.dims.size() < 2) {
            throw_mismatch("Cannot patch " + patch.target +
                           ": only linear layers and convolutions can be patched");
        }
        if (!std::isfinite(patch.scale)) {
            throw error("INVALID_OPTION", "Expected a finite scale for the patch of " + patch.target);
        }
        return target;
    }

    int64_t rank_of(const weight_patch & patch) const {
        auto found = entries_.find(patch.down);
        if (found == entries_.end() || found->second->dims.empty() || found->second->dims[0] < 1) {
            throw_mismatch("The patch of " + patch.target + " has no factor " + patch.down);
        }
        return found->second->dims[0];
    }

    void require(const weight_patch & patch, const std::string & name, const shape & dims, weight_role role) {
        auto found = entries_.find(name);
        if (found == entries_.end())
            throw_mismatch("The patch of " + patch.target + " has no factor " + name);
        if (without_ones(found->second->dims) != without_ones(dims)) {
            throw_mismatch("Expected shape " + to_string(dims) + " for the factor " + name +
                           " of the patch of " + patch.target + " but found " +
                           to_string(found->second->dims));
        }
        // Patches may share a factor, for example those of a query, key and value that were one matrix.
        auto [factor, inserted] = factor_dims_.emplace(name, dims);
        if (!inserted && factor->second != dims)
            throw_mismatch("The factor " + name + " is used with two shapes");
        if (inserted) required.push_back({name, dims, role});
    }

    std::unordered_map<std::string, const weight_requirement *> targets_;
    std::unordered_map<std::string, const weight_entry *> entries_;
    std::unordered_map<std::string, shape> factor_dims_;
};

}  // namespace

patch_set::patch_set(const patch_plan & plan, const std::vector<weight_requirement> & module,
                     const weights::options & options) {
    set_builder builder(plan, module);
    factors_ = std::make_unique<weights>(plan.weights, builder.required, options);
    for (size_t i = 0; i < plan.patches.size(); i++) {
        const weight_patch & patch = plan.patches[i];
        const set_builder::planned & planned = builder.all[i];
        weight_change change = planned.change;
        if (patch.full.empty()) {
            change.down = factors_->get(patch.down, planned.input_factor, planned.role);
            change.up = factors_->get(patch.up, planned.up, weight_role::matrix);
        } else {
            change.up = factors_->get(patch.full, planned.input_factor, planned.role);
        }
        changes_[patch.target].push_back(change);
    }
}

const std::vector<weight_change> & patch_set::of(const std::string & name) const {
    static const std::vector<weight_change> none;
    auto found = changes_.find(name);
    return found == changes_.end() ? none : found->second;
}

}  // namespace safelight
