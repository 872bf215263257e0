#include "runtime/weights/entry_blends.h"

#include <cmath>

#include "runtime/graph/shape.h"
#include "runtime/weights/convert.h"

namespace safelight {

namespace {

// Elements of a row of the first dimension in the target and in a tensor with fewer columns.
struct widths {
    int64_t target, other;
};

widths widths_of(const weight_entry & target, const weight_blend & blend) {
    int64_t kernel = element_count(target.dims, 2);
    int64_t columns = target.dims.size() > 1 ? target.dims[1] : 1;
    return {columns * kernel, (blend.columns > 0 ? blend.columns : columns) * kernel};
}

[[noreturn]] void fail(const weight_blend & blend, const std::string & reason) {
    throw error("INVALID_OPTION", "Cannot blend " + blend.target + ": " + reason);
}

void check_blend(const weight_blend & blend, const weight_entry & target, const weight_plan & others) {
    int64_t columns = target.dims.size() > 1 ? target.dims[1] : 1;
    if (blend.columns < 0 || blend.columns > columns) {
        fail(blend, "it has no " + std::to_string(blend.columns) + " columns");
    }
    if (target.dims.empty() || element_count(target.dims) < 1) fail(blend, "it is empty");
    widths width = widths_of(target, blend);
    int64_t wanted = element_count(target.dims) / width.target * width.other;
    if (!std::isfinite(blend.own)) fail(blend, "its scale is not finite");
    for (const weight_blend::term & term : blend.terms) {
        if (term.entry >= others.entries.size()) fail(blend, "a tensor is missing");
        if (!std::isfinite(term.scale)) fail(blend, "a scale is not finite");
        const weight_entry & other = others.entries[term.entry];
        bool turned = other.op == weight_entry::transform::transpose;
        if (element_count(other.dims) != wanted ||
            (turned && (blend.columns > 0 || other.source_dims[0] != target.dims.back()))) {
            throw error("SHAPE_MISMATCH", "Cannot blend " + blend.target + " of shape " +
                                              to_string(target.dims) + " with " + other.name + " of shape " +
                                              to_string(other.dims));
        }
    }
}

std::vector<float> read_rows(const weight_entry & entry, const mapped_file & file, const row_range & rows) {
    weight_entry expanded = entry;
    expanded.storage = GGML_TYPE_F32;
    std::vector<float> out(static_cast<size_t>((rows.end - rows.begin) * rows.row));
    convert_rows(expanded, file.data(), rows.row, rows.begin, rows.end, out.data());
    return out;
}

}  // namespace

entry_blends::entry_blends(const blend_plan & plan, const weight_plan & entries) : plan_(plan) {
    for (const std::string & path : plan.weights.files) {
        files_.push_back(std::make_unique<mapped_file>(path));
    }
    for (const weight_entry & entry : plan.weights.entries) {
        if (entry.file >= files_.size()) {
            throw error("INVALID_FILE", "The plan of " + entry.name + " has an invalid file");
        }
        check_entry(entry, files_[entry.file]->size());
    }
    std::unordered_map<std::string, const weight_entry *> targets;
    for (const weight_entry & entry : entries.entries) targets.emplace(entry.name, &entry);
    for (const weight_blend & blend : plan.blends) {
        auto target = targets.find(blend.target);
        if (target == targets.end()) fail(blend, "the file has no such entry");
        check_blend(blend, *target->second, plan.weights);
        blends_[blend.target] = &blend;
    }
}

bool entry_blends::contain(const weight_entry & entry) const {
    return blends_.count(entry.name) > 0;
}

void entry_blends::apply(const weight_entry & entry, const row_range & rows,
                         std::vector<float> & values) const {
    const weight_blend & blend = *blends_.at(entry.name);
    widths width = widths_of(entry, blend);
    bool whole = width.target == width.other;
    int64_t first = rows.begin * rows.row;  // element of the entry at values[0]
    // A tensor with fewer columns is read as a whole: its rows do not begin where those of the entry do.
    row_range all{width.other, 0, element_count(entry.dims) / width.target};
    // Calls `change` with each value of a blended column and its index in the tensors read below.
    auto each = [&](auto change) {
        for (size_t i = 0; i < values.size(); i++) {
            if (whole) {
                change(values[i], i);
                continue;
            }
            int64_t at = first + static_cast<int64_t>(i), column = at % width.target;
            if (column < width.other) {
                change(values[i], static_cast<size_t>(at / width.target * width.other + column));
            }
        }
    };
    each([&](float & value, size_t) { value *= blend.own; });
    for (const weight_blend::term & term : blend.terms) {
        const weight_entry & other = plan_.weights.entries[term.entry];
        std::vector<float> values_of_other = read_rows(other, *files_[other.file], whole ? rows : all);
        each([&](float & value, size_t i) { value += term.scale * values_of_other[i]; });
    }
}

void entry_blends::release(const weight_entry & entry) const {
    auto found = blends_.find(entry.name);
    if (found == blends_.end()) return;
    for (const weight_blend::term & term : found->second->terms) {
        const weight_entry & other = plan_.weights.entries[term.entry];
        files_[other.file]->discard_pages(other.offset, other.length);
    }
}

}  // namespace safelight
