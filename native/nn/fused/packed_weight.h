#pragma once

#include "nn/fused/fusion.h"
#include "runtime/memory.h"
#include "runtime/weights/prepared_weights.h"

namespace safelight {

// A parameter packed for the products of its layer (kernels::packing).
class packed_weight : public prepared_weight {
  public:
    // With `keep` false, nothing is stored, only the precision is decided: kernels then pack the weight
    // during each run.
    packed_weight(const kernels::weights & source, const kernels::packing & layout, bool keep)
        : source_(source), layout_(layout), keep_(keep) {}

    void prepare(const parallel & run) override;
    bool use(const std::byte * bytes, uint64_t size) override;
    uint64_t memory() const override { return memory_.size(); }
    uint64_t size() const override { return size_; }
    const void * source() const override { return source_.data; }
    // bf16 instead of int8 for a weight that int8 represents too coarsely.
    kernels::precision precision() const { return layout_.precision; }
    const std::byte * data() const override { return data_; }

  private:
    void pack(const parallel & run);

    kernels::weights source_;
    kernels::packing layout_;
    bool keep_;
    system_memory memory_;
    const std::byte * data_ = nullptr;
    uint64_t size_ = 0;
};

// Requests the weight of a product, packed for a precision.
std::shared_ptr<packed_weight> request_packed(prepared_weights & weights, const product & p,
                                              kernels::precision precision, const std::string & name,
                                              bool keep);

// Describes a weight of `rows` rows for the kernels; a row may span several dimensions of the tensor.
kernels::weights kernel_weights(tensor w, int64_t rows);

}  // namespace safelight
