#include "runtime/patches/merged_weights.h"

#include <mutex>

#include "runtime/patches/apply_patch.h"
#include "runtime/threads.h"

namespace safelight {

merged_weights::merged_weights(const patch_plan & plan, const std::vector<weight_requirement> & module,
                               weights & base, weights & factors, const weights::options & how) {
    if (plan.merged.empty()) return;
    std::map<std::string, const weight_entry *> entries;
    for (const weight_entry & entry : plan.weights.entries) entries[entry.name] = &entry;
    struct job {
        const weight_requirement * parameter;
        tensor from, to;
        std::vector<const weight_patch *> patches;
    };
    std::vector<job> jobs;
    std::unordered_map<std::string, size_t> index;
    buffer_ = std::make_unique<weight_buffer>(plan.merged.size());
    for (const weight_requirement & parameter : module) {
        auto found = plan.merged.find(parameter.name);
        if (found == plan.merged.end()) continue;
        tensor from = base.get(parameter.name, parameter.dims, parameter.role);
        if (!encodable(found->second) || from->ne[0] % ggml_blck_size(found->second) != 0) {
            throw error("INVALID_OPTION", "Expected a type that can store rows of " +
                                              std::to_string(from->ne[0]) + " values for the copy of " +
                                              parameter.name);
        }
        shape dims(from->ne, from->ne + ggml_n_dims(from));
        index[parameter.name] = jobs.size();
        jobs.push_back({&parameter, from, buffer_->add(found->second, {dims.rbegin(), dims.rend()}), {}});
    }
    for (const weight_patch & patch : plan.patches) {
        auto found = index.find(patch.target);
        if (found != index.end()) jobs[found->second].patches.push_back(&patch);
    }
    buffer_->allocate(how.device, "The weights changed by adapters");
    std::mutex device;
    parallel_for(static_cast<int64_t>(jobs.size()), how.threads, [&](int64_t i) {
        how.cancel.throw_if_cancelled();
        const job & one = jobs[static_cast<size_t>(i)];
        std::vector<float> w = read_parameter(one.from, &device);
        for (const weight_patch * patch : one.patches) {
            how.cancel.throw_if_cancelled();
            apply_patch(patch_factors(*patch, factors, entries), w, one.parameter->dims);
        }
        write_parameter(w, one.to, &device);
    });
    for (const job & one : jobs) copies_[one.parameter->name] = one.to;
}

tensor merged_weights::get(const std::string & name) const {
    auto found = copies_.find(name);
    return found == copies_.end() ? nullptr : found->second;
}

}  // namespace safelight
