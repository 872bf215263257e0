#include "runtime/weights/prepared_weights.h"

#include <algorithm>

#include "runtime/error.h"
#include "runtime/platform/output_file.h"
#include "runtime/threads.h"

namespace safelight {

namespace {

constexpr uint64_t alignment = 64;

}  // namespace

prepared_weights::prepared_weights(const std::string & file, const std::vector<stored_weight> & stored)
    : file_(std::make_unique<mapped_file>(file)) {
    for (const stored_weight & weight : stored) {
        if (weight.offset > file_->size() || weight.size > file_->size() - weight.offset ||
            weight.offset % alignment != 0) {
            throw error("INVALID_FILE", "The packed weight " + weight.key + " is not inside of " + file);
        }
        stored_[weight.key] = weight;
    }
}

std::shared_ptr<prepared_weight> prepared_weights::request(
    const std::string & key, const std::function<std::shared_ptr<prepared_weight>()> & make) {
    std::shared_ptr<prepared_weight> & weight = weights_[key];
    if (!weight) {
        weight = make();
        auto found = stored_.find(key);
        bool in_file =
            found != stored_.end() && weight->use(file_->data() + found->second.offset, found->second.size);
        if (!in_file) requested_.push_back(weight);
    }
    return weight;
}

std::set<const void *> prepared_weights::sources() const {
    std::set<const void *> sources;
    for (const auto & weight : requested_) sources.insert(weight->source());
    return sources;
}

void prepared_weights::prepare(int threads, const cancel_token & cancel,
                               const std::function<void(const void *)> & done) {
    const auto run = [&](int64_t count, const std::function<void(int64_t)> & body) {
        parallel_for(count, threads, [&](int64_t i) {
            cancel.throw_if_cancelled();
            body(i);
        });
    };
    while (!requested_.empty()) {
        requested_.back()->prepare(run);
        bytes_ += requested_.back()->memory();
        const void * source = requested_.back()->source();
        requested_.pop_back();
        const bool read_again = std::any_of(requested_.begin(), requested_.end(),
                                            [&](const auto & other) { return other->source() == source; });
        if (!read_again) done(source);
    }
}

std::vector<stored_weight> prepared_weights::write(const std::string & file, uint64_t offset,
                                                   const cancel_token & cancel) const {
    constexpr uint64_t piece = 4 << 20;
    const output_file output(file);
    std::vector<stored_weight> out;
    for (const auto & [key, weight] : weights_) {
        offset = (offset + alignment - 1) / alignment * alignment;
        out.push_back({key, offset, weight->size()});
        for (uint64_t done = 0; done < weight->size(); done += piece) {
            cancel.throw_if_cancelled();
            output.write(weight->data() + done, std::min(piece, weight->size() - done), offset + done);
        }
        offset += weight->size();
    }
    return out;
}

}  // namespace safelight
