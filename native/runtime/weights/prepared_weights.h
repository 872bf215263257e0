#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/cancel.h"

namespace safelight {

// A parameter in the layout that a kernel reads, which nn/ defines.
class prepared_weight {
  public:
    // Runs a function for [0, count) on several threads.
    using parallel = std::function<void(int64_t count, const std::function<void(int64_t)> &)>;

    virtual ~prepared_weight() = default;
    // Computes the weight; called once. Throws OUT_OF_MEMORY, and what `run` throws.
    virtual void prepare(const parallel & run) = 0;
    virtual uint64_t bytes() const = 0;
    virtual const void * source() const = 0;  // data of the parameter as it was loaded
};

// The prepared parameters of a module. Building a graph requests them; they are computed before its first run.
class prepared_weights {
  public:
    // Returns the weight with this key, made by `make` if the key is new.
    std::shared_ptr<prepared_weight> request(const std::string & key,
                                             const std::function<std::shared_ptr<prepared_weight>()> & make);
    // The parameters that prepare() reads.
    std::set<const void *> sources() const;
    // Computes the weights that were requested since the last call, and calls `done` for a parameter that it reads no
    // more. Weights computed before an exception are kept.
    void prepare(int threads, const cancel_token & cancel,
                 const std::function<void(const void * source)> & done);
    uint64_t bytes() const { return bytes_; }

  private:
    std::map<std::string, std::shared_ptr<prepared_weight>> weights_;
    std::vector<std::shared_ptr<prepared_weight>> requested_;
    std::atomic<uint64_t> bytes_{0};
};

}  // namespace safelight
