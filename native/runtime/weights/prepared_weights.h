#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/cancel.h"
#include "runtime/platform/mapped_file.h"

namespace safelight {

// A parameter in the layout that a kernel reads, which nn/ defines.
class prepared_weight {
  public:
    // Runs a function for [0, count) on several threads.
    using parallel = std::function<void(int64_t count, const std::function<void(int64_t)> &)>;

    virtual ~prepared_weight() = default;
    // Computes the weight; called once. Throws OUT_OF_MEMORY, and what `run` throws.
    virtual void prepare(const parallel & run) = 0;
    // Uses bytes in a mapped file instead, which outlives this object. Returns false if they have the wrong
    // size.
    virtual bool use(const std::byte * bytes, uint64_t size) = 0;
    virtual const std::byte * data() const = 0;
    virtual uint64_t size() const = 0;        // of the data
    virtual uint64_t memory() const = 0;      // allocated for the data
    virtual const void * source() const = 0;  // data of the parameter as it was loaded
};

// A prepared weight in a file.
struct stored_weight {
    std::string key;
    uint64_t offset, size;
};

// The prepared parameters of a module. Building a graph requests them; they are computed before its first
// run.
class prepared_weights {
  public:
    prepared_weights() = default;
    // Uses stored weights instead of computing those with their keys. Throws FILE_NOT_FOUND, INVALID_FILE.
    prepared_weights(const std::string & file, const std::vector<stored_weight> & stored);

    // Returns the weight with this key, made by `make` if the key is new.
    std::shared_ptr<prepared_weight> request(const std::string & key,
                                             const std::function<std::shared_ptr<prepared_weight>()> & make);
    // The parameters that prepare() reads.
    std::set<const void *> sources() const;
    // Computes the weights that were requested since the last call, and calls `done` for a parameter that it
    // reads no more. Weights computed before an exception are kept.
    void prepare(int threads, const cancel_token & cancel,
                 const std::function<void(const void * source)> & done);
    // Writes all weights to a file, each at a multiple of 64 bytes from `offset` on.
    std::vector<stored_weight> write(const std::string & file, uint64_t offset,
                                     const cancel_token & cancel) const;
    uint64_t bytes() const { return bytes_; }  // of memory

  private:
    std::unique_ptr<mapped_file> file_;
    std::map<std::string, stored_weight> stored_;
    std::map<std::string, std::shared_ptr<prepared_weight>> weights_;
    std::vector<std::shared_ptr<prepared_weight>> requested_;
    std::atomic<uint64_t> bytes_{0};
};

}  // namespace safelight
