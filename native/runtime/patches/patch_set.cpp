#include "runtime/patches/patch_set.h"

#include "runtime/device/device.h"
#include "runtime/graph/shape.h"
#include "runtime/patches/apply_patch.h"

namespace safelight {

namespace {

// An SDXL LoRA changes about 1000 parameters.
constexpr size_t max_patches = 1 << 17;

[[noreturn]] void throw_mismatch(const std::string & what) {
    throw error("ADAPTER_MISMATCH", what);
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
        for (const weight_patch & patch : plan.patches) {
            if (plan.merged.count(patch.target) == 0) add(patch);
        }
        for (const auto & [name, storage] : plan.merged) {
            if (targets_.count(name) == 0)
                throw_mismatch("The module has no parameter " + name + " to patch");
        }
    }

    std::vector<weight_requirement> required;  // factors to load, in the shapes that the targets require
    struct planned {
        const weight_patch * patch;
        weight_change change;  // tensors still null
        shape input_factor,
            up;  // shapes of the factor multiplied with the input and of `up`, empty for `full`
        weight_role role;
    };
    std::vector<planned> all;  // one per patch that a run computes

  private:
    static const std::string & factor(const weight_patch & patch, const std::string & role) {
        const std::string * name = patch.named(role);
        if (name == nullptr) throw_mismatch("The patch of " + patch.target + " has no factor " + role);
        return *name;
    }

    void add(const weight_patch & patch) {
        if (!patch.branches()) {
            throw error("INVALID_OPTION", "Expected " + patch.target + " among the merged parameters");
        }
        const weight_requirement & target = target_of(patch);
        weight_patch::range rows = part_of(patch.rows, target.dims[0], patch, "rows");
        weight_patch::range columns = part_of(patch.columns, target.dims[1], patch, "columns");
        shape input_factor = target.dims;
        input_factor[1] = columns.end - columns.begin;
        shape up;
        if (patch.change == weight_patch::kind::low_rank) {
            int64_t rank = rank_of(patch);
            input_factor[0] = rank;
            up = {rows.end - rows.begin, rank};
            require(patch, factor(patch, "down"), input_factor, target.role);
            require(patch, factor(patch, "up"), up, weight_role::matrix);
        } else {
            input_factor[0] = rows.end - rows.begin;
            require(patch, factor(patch, "full"), input_factor, target.role);
        }
        weight_change change{nullptr, nullptr, patch.scale, rows.begin, rows.end, columns.begin, columns.end};
        all.push_back({&patch, change, input_factor, up, target.role});
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
        check_scale(patch);
        return target;
    }

    int64_t rank_of(const weight_patch & patch) const {
        const std::string & down = factor(patch, "down");
        auto found = entries_.find(down);
        if (found == entries_.end() || found->second->dims.empty() || found->second->dims[0] < 1) {
            throw_mismatch("The patch of " + patch.target + " has no factor " + down);
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

patch_set::patch_set(const patch_plan & plan, const std::vector<weight_requirement> & module, weights & base,
                     const weights::options & options) {
    set_builder builder(plan, module);
    factors_ = std::make_unique<weights>(plan.weights, builder.required, options);
    for (const set_builder::planned & planned : builder.all) {
        const weight_patch & patch = *planned.patch;
        weight_change change = planned.change;
        if (patch.change == weight_patch::kind::low_rank) {
            change.down = factors_->get(*patch.named("down"), planned.input_factor, planned.role);
            change.up = factors_->get(*patch.named("up"), planned.up, weight_role::matrix);
        } else {
            change.up = factors_->get(*patch.named("full"), planned.input_factor, planned.role);
        }
        changes_[patch.target].push_back(change);
    }
    joined_ = std::make_unique<joined_changes>(changes_, options);
    release_joined_factors();
    if (plan.merged.empty()) return;
    // Read once, on the CPU, and mapped if their type allows it.
    weights::options reading{find_device("cpu"), options.threads, /*map*/ true, options.cancel,
                             options.progress};
    weights factors(plan.weights, merged_factors(plan), reading);
    merged_ = std::make_unique<merged_weights>(plan, module, base, factors, options);
}

// Frees the factors if every change was joined.
void patch_set::release_joined_factors() {
    if (joined_->bytes() == 0) return;
    for (const auto & [name, changes] : changes_) {
        if (!joined_->contains(changes)) return;
    }
    factors_.reset();
}

const std::vector<weight_change> & patch_set::of(const std::string & name) const {
    static const std::vector<weight_change> none;
    auto found = changes_.find(name);
    return found == changes_.end() ? none : found->second;
}

tensor patch_set::replacement(const std::string & name) const {
    return merged_ ? merged_->get(name) : nullptr;
}

uint64_t patch_set::bytes() const {
    return (factors_ ? factors_->bytes() : 0) + joined_->bytes() + (merged_ ? merged_->bytes() : 0);
}

}  // namespace safelight
