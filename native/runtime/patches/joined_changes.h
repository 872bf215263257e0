#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "runtime/weights/weight_buffer.h"
#include "runtime/weights/weights.h"

namespace safelight {

// Low-rank changes of the same part of a weight as one: [s1·up1 | s2·up2] · [down1; down2]. Several LoRAs
// then cost one pair of products per weight.
class joined_changes {
  public:
    using changes = std::unordered_map<std::string, std::vector<weight_change>>;

    // Replaces the changes that can be joined. Throws OUT_OF_MEMORY, ABORTED.
    joined_changes(changes & all, const weights::options & options);

    // True if these changes of a weight were joined, and no longer use the factors that they were made of.
    bool contains(const std::vector<weight_change> & parts) const {
        return buffer_ && parts.size() == 1 && parts[0].down && buffer_->contains(parts[0].down);
    }
    uint64_t bytes() const { return buffer_ ? buffer_->bytes() : 0; }

  private:
    std::unique_ptr<weight_buffer> buffer_;
};

}  // namespace safelight
