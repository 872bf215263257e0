#include "runtime/patches/apply_patch.h"

#include <cmath>
#include <limits>
#include <set>

#include "runtime/graph/shape.h"
#include "runtime/patches/difference.h"
#include "runtime/patches/rotation.h"

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

matrix_size size_of(const shape & dims) {
    return {dims.empty() ? 1 : dims[0], dims.size() > 1 ? dims[1] : 1, element_count(dims, 2)};
}

}  // namespace

void apply_patch(const patch_factors & factors, values & w, const shape & dims) {
    matrix_size whole = size_of(dims);
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

std::vector<weight_requirement> merged_factors(const patch_plan & plan) {
    std::unordered_map<std::string, const weight_entry *> entries;
    for (const weight_entry & entry : plan.weights.entries) entries.emplace(entry.name, &entry);
    std::vector<weight_requirement> required;
    std::set<std::string> names;
    for (const weight_patch & patch : plan.patches) {
        if (plan.merged.count(patch.target) == 0) continue;
        check_scale(patch);
        for (const auto & [role, name] : patch.factors) {
            auto found = entries.find(name);
            if (found == entries.end()) {
                throw error("ADAPTER_MISMATCH", "The patch of " + patch.target + " has no factor " + name);
            }
            if (element_count(found->second->dims) < 1) {
                throw error("ADAPTER_MISMATCH",
                            "The factor " + name + " of the patch of " + patch.target + " is empty");
            }
            if (names.insert(name).second) {
                required.push_back({name, found->second->dims, weight_role::matrix});
            }
        }
    }
    return required;
}

void check_scale(const weight_patch & patch) {
    if (!std::isfinite(patch.scale) || !std::isfinite(patch.factor)) {
        throw error("INVALID_OPTION", "Expected a finite scale for the patch of " + patch.target);
    }
}

}  // namespace safelight
