#pragma once

#include <memory>
#include <unordered_map>

#include "runtime/platform/mapped_file.h"
#include "runtime/weights/weight_writer.h"

namespace safelight {

// A linear combination of an entry with other tensors: own · value + Σ scale · other. BlendPlan of
// lib/binding/types.ts.
struct weight_blend {
    struct term {
        size_t entry;  // index into the plan's entries
        float scale;
    };

    std::string target;
    float own = 1;
    std::vector<term> terms;
    int64_t columns = 0;  // leading columns (dimension 1) of the target that change; 0 for all
};

struct blend_plan {
    weight_plan weights;
    std::vector<weight_blend> blends;
};

// Blends of the entries that a file is written from, computed in f32 for one piece at a time.
class entry_blends : public value_changes {
  public:
    // The plan must outlive this object. Throws INVALID_OPTION for a target that is no entry or a scale that
    // is not finite, SHAPE_MISMATCH for a tensor of another size than its target, and what mapping files
    // throws.
    entry_blends(const blend_plan & plan, const weight_plan & entries);

    bool contain(const weight_entry & entry) const override;
    bool divisible() const override { return true; }
    void apply(const weight_entry & entry, const row_range & rows,
               std::vector<float> & values) const override;
    void release(const weight_entry & entry) const override;

  private:
    const blend_plan & plan_;
    std::unordered_map<std::string, const weight_blend *> blends_;  // by target
    std::vector<std::unique_ptr<mapped_file>> files_;               // in the order of the plan's files
};

}  // namespace safelight
