#include "runtime/patches/patch_set.h"

#include <cmath>
#include <set>

#include "runtime/device/device.h"
#include "runtime/graph/shape.h"

namespace safelight {

namespace {

// A LoRA of SDXL changes some 1000 parameters; twenty of them are far from this.
constexpr size_t max_patches = 1 << 17;

[[noreturn]] void mismatch(const std::string & what) {
    throw error("ADAPTER_MISMATCH", what);
}

weight_patch::range within(const std::optional<weight_patch::range> & part, int64_t count,
                           const weight_patch & patch, const char * what) {
    if (!part) return {0, count};
    if (part->begin < 0 || part->begin >= part->end || part->end > count) {
        mismatch("A patch of " + patch.target + " changes " + what + " " + std::to_string(part->begin) +
                 " to " + std::to_string(part->end) + " of " + std::to_string(count));
    }
    return *part;
}

class set_builder {
  public:
    set_builder(const patch_plan & plan, const std::vector<weight_requirement> & module) {
        for (const weight_requirement & one : module) targets_.emplace(one.name, &one);
        for (const weight_entry & entry : plan.weights.entries) entries_.emplace(entry.name, &entry);
        if (plan.patches.size() > max_patches) {
            throw error("INVALID_OPTION",
                        "Expected at most " + std::to_string(max_patches) + " patches in a set");
        }
        for (const weight_patch & patch : plan.patches) {
            if (plan.merged.count(patch.target) > 0) {
                require_merged(patch);
            } else {
                add(patch);
            }
        }
        for (const auto & [name, storage] : plan.merged) {
            if (targets_.count(name) == 0) mismatch("The module has no parameter " + name + " to patch");
        }
    }

    std::vector<weight_requirement> required;  // of the plan, as the patched parameters want them
    std::vector<weight_requirement> merged;    // factors of patches that rewrite weights
    struct planned {
        const weight_patch * patch;
        weight_branch branch;  // without tensors yet
        shape reading, up;  // of the factor that the input meets, and of the other; no `up` for a difference
        weight_role role;
    };
    std::vector<planned> all;  // one per branch

  private:
    void require_merged(const weight_patch & patch) {
        check_scale(patch);
        for (const auto & [role, name] : patch.factors) {
            auto found = entries_.find(name);
            if (found == entries_.end()) mismatch("The patch of " + patch.target + " has no factor " + name);
            if (merged_known_.insert(name).second) {
                merged.push_back({name, found->second->dims, weight_role::matrix});
            }
        }
    }

    static void check_scale(const weight_patch & patch) {
        if (!std::isfinite(patch.scale) || !std::isfinite(patch.factor)) {
            throw error("INVALID_OPTION", "Expected a finite scale for the patch of " + patch.target);
        }
    }

    void add(const weight_patch & patch) {
        if (!patch.branches()) {
            throw error("INVALID_OPTION", "Expected " + patch.target + " among the merged parameters");
        }
        const weight_requirement & target = target_of(patch);
        weight_patch::range rows = within(patch.rows, target.dims[0], patch, "rows");
        weight_patch::range columns = within(patch.columns, target.dims[1], patch, "columns");
        shape reading = target.dims;  // of what is multiplied with the input
        reading[1] = columns.end - columns.begin;
        shape up;
        if (patch.change == weight_patch::kind::low_rank) {
            int64_t rank = rank_of(patch);
            reading[0] = rank;
            up = {rows.end - rows.begin, rank};
            require(patch, factor(patch, "down"), reading, target.role);
            require(patch, factor(patch, "up"), up, weight_role::matrix);
        } else {
            reading[0] = rows.end - rows.begin;
            require(patch, factor(patch, "full"), reading, target.role);
        }
        weight_branch branch{nullptr, nullptr, patch.scale, rows.begin, rows.end, columns.begin, columns.end};
        all.push_back({&patch, branch, reading, up, target.role});
    }

    static const std::string & factor(const weight_patch & patch, const std::string & role) {
        const std::string * name = patch.named(role);
        if (name == nullptr) mismatch("The patch of " + patch.target + " has no factor " + role);
        return *name;
    }

    const weight_requirement & target_of(const weight_patch & patch) const {
        auto found = targets_.find(patch.target);
        if (found == targets_.end()) mismatch("The module has no parameter " + patch.target + " to patch");
        const weight_requirement & target = *found->second;
        bool multiplies = target.role == weight_role::matrix || target.role == weight_role::conv;
        if (!multiplies || target.dims.size() < 2) {
            mismatch(patch.target + " cannot be patched: only linear layers and convolutions can");
        }
        check_scale(patch);
        return target;
    }

    int64_t rank_of(const weight_patch & patch) const {
        const std::string & down = factor(patch, "down");
        auto found = entries_.find(down);
        if (found == entries_.end() || found->second->dims.empty() || found->second->dims[0] < 1) {
            mismatch("The patch of " + patch.target + " has no factor " + down);
        }
        return found->second->dims[0];
    }

    void require(const weight_patch & patch, const std::string & name, const shape & dims, weight_role role) {
        auto found = entries_.find(name);
        if (found == entries_.end()) mismatch("The patch of " + patch.target + " has no factor " + name);
        if (without_ones(found->second->dims) != without_ones(dims)) {
            mismatch("The patch of " + patch.target + " needs " + name + " in shape " + to_string(dims) +
                     " but has it in " + to_string(found->second->dims));
        }
        // Several patches may share a factor: those of a query, key and value that were one matrix.
        auto [known, fresh] = known_.emplace(name, dims);
        if (!fresh && known->second != dims) mismatch("The factor " + name + " is used in two shapes");
        if (fresh) required.push_back({name, dims, role});
    }

    std::unordered_map<std::string, const weight_requirement *> targets_;
    std::unordered_map<std::string, const weight_entry *> entries_;
    std::unordered_map<std::string, shape> known_;
    std::set<std::string> merged_known_;
};

}  // namespace

patch_set::patch_set(const patch_plan & plan, const std::vector<weight_requirement> & module, weights & base,
                     const weights::options & how) {
    set_builder builder(plan, module);
    factors_ = std::make_unique<weights>(plan.weights, builder.required, how);
    for (const set_builder::planned & planned : builder.all) {
        const weight_patch & patch = *planned.patch;
        weight_branch branch = planned.branch;
        if (patch.change == weight_patch::kind::low_rank) {
            branch.down = factors_->get(*patch.named("down"), planned.reading, planned.role);
            branch.up = factors_->get(*patch.named("up"), planned.up, weight_role::matrix);
        } else {
            branch.up = factors_->get(*patch.named("full"), planned.reading, planned.role);
        }
        branches_[patch.target].push_back(branch);
    }
    if (plan.merged.empty()) return;
    // Read once, on the CPU, and where they lie if their type allows it.
    weights::options reading{find_device("cpu"), how.threads, /*map*/ true, how.cancel, how.progress};
    weights factors(plan.weights, builder.merged, reading);
    merged_ = std::make_unique<merged_weights>(plan, module, base, factors, how);
}

const std::vector<weight_branch> & patch_set::of(const std::string & name) const {
    static const std::vector<weight_branch> none;
    auto found = branches_.find(name);
    return found == branches_.end() ? none : found->second;
}

tensor patch_set::replacement(const std::string & name) const {
    return merged_ ? merged_->get(name) : nullptr;
}

uint64_t patch_set::bytes() const {
    return factors_->bytes() + (merged_ ? merged_->bytes() : 0);
}

}  // namespace safelight
