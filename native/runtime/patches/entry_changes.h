#pragma once

#include <memory>
#include <set>
#include <unordered_map>

#include "runtime/patches/patch_factors.h"
#include "runtime/weights/weight_writer.h"

namespace safelight {

// Patches of the entries that a file is written from: the same changes that merged_weights makes to
// parameters of a module.
class entry_changes : public value_changes {
  public:
    // Loads the factors of the plan, which must outlive this object. `transposed` are names of entries that
    // are written as columns x rows. Throws ADAPTER_MISMATCH for a target that is no entry, and what loading
    // weights throws.
    entry_changes(const patch_plan & plan, const weight_plan & entries, std::set<std::string> transposed,
                  int threads, const cancel_token & cancel);

    bool contain(const weight_entry & entry) const override;
    void apply(const weight_entry & entry, const row_range & rows,
               std::vector<float> & values) const override;

  private:
    std::set<std::string> transposed_;
    const cancel_token & cancel_;
    std::map<std::string, const weight_entry *> factor_entries_;
    std::unordered_map<std::string, std::vector<const weight_patch *>> patches_;  // by target
    std::unique_ptr<weights> factors_;
};

}  // namespace safelight
