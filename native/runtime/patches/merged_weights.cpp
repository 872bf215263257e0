#include "runtime/patches/merged_weights.h"

#include <cmath>
#include <limits>
#include <mutex>

#include "runtime/graph/shape.h"
#include "runtime/patches/difference.h"
#include "runtime/patches/rotation.h"
#include "runtime/threads.h"

namespace safelight {

namespace {

using values = std::vector<float>;

// W' = W + factor·difference becomes its direction times a learned length, W'·m / ||W'||, over each output
// row or each input column (DoRA: Liu et al. 2024, arXiv:2402.09353). Written to `changed` as the whole
// change.
void to_magnitude(const patch_factors & factors, const values & w, values & changed,
                  const matrix_size & size) {
    bool rows = factors.patch().along == weight_patch::axis::output;
    int64_t count = rows ? size.rows : size.columns;
    values m = factors.read("magnitude", {count}).data;
    std::vector<double> squares(static_cast<size_t>(count));
    auto index = [&](int64_t i) {
        return static_cast<size_t>(rows ? i / size.width() : i % size.width() / size.kernel);
    };
    for (int64_t i = 0; i < size.count(); i++) {
        auto at = static_cast<size_t>(i);
        double value = static_cast<double>(w[at]) + changed[at];
        squares[index(i)] += value * value;
    }
    for (size_t i = 0; i < m.size(); i++) {
        m[i] = static_cast<float>(m[i] / (std::sqrt(squares[i]) + std::numeric_limits<float>::epsilon()));
    }
    for (int64_t i = 0; i < size.count(); i++) {
        auto at = static_cast<size_t>(i);
        changed[at] = (w[at] + changed[at]) * m[index(i)] - w[at];
    }
}

void add_difference(const patch_factors & factors, values & w, const matrix_size & size) {
    const weight_patch & patch = factors.patch();
    if (!factors.has("magnitude")) return add_difference_to(w, factors, size, patch.scale * patch.factor);
    values change = difference_of(factors, size);
    for (float & value : change) value *= patch.factor;
    to_magnitude(factors, w, change, size);
    for (size_t i = 0; i < w.size(); i++) w[i] += patch.scale * change[i];
}

// W·(1 + s·m) over output rows or input columns (IA3: Liu et al. 2022, arXiv:2205.05638; LyCORIS IA3Module).
void multiply(const patch_factors & factors, values & w, const matrix_size & size) {
    bool rows = factors.patch().along == weight_patch::axis::output;
    values m = factors.read("weight", {rows ? size.rows : size.columns}).data;
    for (int64_t i = 0; i < size.count(); i++) {
        int64_t at = rows ? i / size.width() : i % size.width() / size.kernel;
        w[static_cast<size_t>(i)] *= 1 + factors.patch().scale * m[static_cast<size_t>(at)];
    }
}

void change(const patch_factors & factors, values & w, const matrix_size & size) {
    switch (factors.patch().change) {
        case weight_patch::kind::multiply:
            return multiply(factors, w, size);
        case weight_patch::kind::rotate:
        case weight_patch::kind::butterfly:
            return rotate_rows(factors, w, size);
        default:
            return add_difference(factors, w, size);
    }
}

// Applies a patch to its part of the parameter.
void apply(const patch_factors & factors, values & w, const matrix_size & whole) {
    const weight_patch & patch = factors.patch();
    weight_patch::range rows = part_of(patch.rows, whole.rows, patch, "rows");
    weight_patch::range columns = part_of(patch.columns, whole.columns, patch, "columns");
    matrix_size size{rows.end - rows.begin, columns.end - columns.begin, whole.kernel};
    if (size.rows == whole.rows && size.columns == whole.columns) return change(factors, w, whole);
    values part(static_cast<size_t>(size.count()));
    auto line = [&](int64_t row) {
        return w.data() + (rows.begin + row) * whole.width() + columns.begin * whole.kernel;
    };
    for (int64_t row = 0; row < size.rows; row++) {
        std::copy_n(line(row), size.width(), part.data() + row * size.width());
    }
    change(factors, part, size);
    for (int64_t row = 0; row < size.rows; row++) {
        std::copy_n(part.data() + row * size.width(), size.width(), line(row));
    }
}

matrix_size size_of(const weight_requirement & parameter) {
    const shape & dims = parameter.dims;
    return {dims.empty() ? 1 : dims[0], dims.size() > 1 ? dims[1] : 1, element_count(dims, 2)};
}

}  // namespace

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
        values w = read_parameter(one.from, &device);
        for (const weight_patch * patch : one.patches) {
            how.cancel.throw_if_cancelled();
            apply(patch_factors(*patch, factors, entries), w, size_of(*one.parameter));
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
