#include "runtime/weights/prepared_weights.h"

#include <algorithm>

#include "runtime/threads.h"

namespace safelight {

std::shared_ptr<prepared_weight> prepared_weights::request(
    const std::string & key, const std::function<std::shared_ptr<prepared_weight>()> & make) {
    std::shared_ptr<prepared_weight> & weight = weights_[key];
    if (!weight) {
        weight = make();
        requested_.push_back(weight);
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
        bytes_ += requested_.back()->bytes();
        const void * source = requested_.back()->source();
        requested_.pop_back();
        const bool read_again = std::any_of(requested_.begin(), requested_.end(),
                                            [&](const auto & other) { return other->source() == source; });
        if (!read_again) done(source);
    }
}

}  // namespace safelight
