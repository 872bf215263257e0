#include "runtime/weights/patch_set.h"

#include <cmath>

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
        for (const weight_patch & patch : plan.patches) add(patch);
    }

    std::vector<weight_requirement> required;  // of the plan, as the patched parameters want them
    struct planned {
        weight_branch branch;  // without tensors yet
        shape reading, up;  // of the factor that the input meets, and of the other; no `up` for a difference
        weight_role role;
    };
    std::vector<planned> all;  // one a patch

  private:
    void add(const weight_patch & patch) {
        const weight_requirement & target = target_of(patch);
        weight_patch::range rows = within(patch.rows, target.dims[0], patch, "rows");
        weight_patch::range columns = within(patch.columns, target.dims[1], patch, "columns");
        shape reading = target.dims;  // of what is multiplied with the input
        reading[1] = columns.end - columns.begin;
        shape up;
        if (patch.full.empty()) {
            int64_t rank = rank_of(patch);
            reading[0] = rank;
            up = {rows.end - rows.begin, rank};
            require(patch, patch.down, reading, target.role);
            require(patch, patch.up, up, weight_role::matrix);
        } else {
            reading[0] = rows.end - rows.begin;
            require(patch, patch.full, reading, target.role);
        }
        weight_branch branch{nullptr, nullptr, patch.scale, rows.begin, rows.end, columns.begin, columns.end};
        all.push_back({branch, reading, up, target.role});
    }

    const weight_requirement & target_of(const weight_patch & patch) const {
        auto found = targets_.find(patch.target);
        if (found == targets_.end()) mismatch("The module has no parameter " + patch.target + " to patch");
        const weight_requirement & target = *found->second;
        bool multiplies = target.role == weight_role::matrix || target.role == weight_role::conv;
        if (!multiplies || target.dims.size() < 2) {
            mismatch(patch.target + " cannot be patched: only linear layers and convolutions can");
        }
        if (!std::isfinite(patch.scale)) {
            throw error("INVALID_OPTION", "Expected a finite scale for the patch of " + patch.target);
        }
        return target;
    }

    int64_t rank_of(const weight_patch & patch) const {
        auto found = entries_.find(patch.down);
        if (found == entries_.end() || found->second->dims.empty() || found->second->dims[0] < 1) {
            mismatch("The patch of " + patch.target + " has no factor " + patch.down);
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
};

}  // namespace

patch_set::patch_set(const patch_plan & plan, const std::vector<weight_requirement> & module,
                     const weights::options & how) {
    set_builder builder(plan, module);
    factors_ = std::make_unique<weights>(plan.weights, builder.required, how);
    for (size_t i = 0; i < plan.patches.size(); i++) {
        const weight_patch & patch = plan.patches[i];
        const set_builder::planned & planned = builder.all[i];
        weight_branch branch = planned.branch;
        if (patch.full.empty()) {
            branch.down = factors_->get(patch.down, planned.reading, planned.role);
            branch.up = factors_->get(patch.up, planned.up, weight_role::matrix);
        } else {
            branch.up = factors_->get(patch.full, planned.reading, planned.role);
        }
        branches_[patch.target].push_back(branch);
    }
}

const std::vector<weight_branch> & patch_set::of(const std::string & name) const {
    static const std::vector<weight_branch> none;
    auto found = branches_.find(name);
    return found == branches_.end() ? none : found->second;
}

}  // namespace safelight
