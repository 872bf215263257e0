#include "runtime/weights/weights.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "runtime/graph/shape.h"
#include "runtime/threads.h"
#include "runtime/weights/convert.h"

namespace safelight {

namespace {

// Elements that a thread converts at once: 512 KiB as f32. Quantizing them takes about 10 ms, so cancellation
// is prompt.
constexpr int64_t piece_elements = 1 << 17;

// Consecutive rows of one parameter, converted by one thread.
struct piece {
    const weight_entry * entry;
    const std::byte * file;
    tensor to;
    int64_t row, begin, end;
};

// Appends the pieces of an entry to `out`.
void append_pieces(const weight_entry & entry, const std::byte * file, tensor to, std::vector<piece> & out) {
    int64_t row = entry.op == weight_entry::transform::transpose ? entry.source_dims[0] : to->ne[0];
    int64_t rows = ggml_nelements(to) / row;
    int64_t step = std::max<int64_t>(1, piece_elements / row);
    for (int64_t begin = 0; begin < rows; begin += step) {
        out.push_back({&entry, file, to, row, begin, std::min(rows, begin + step)});
    }
}

size_t bytes_of_rows(const piece & p, int64_t rows) {
    return static_cast<size_t>(rows * p.row / ggml_blck_size(p.to->type)) * ggml_type_size(p.to->type);
}

// Converts directly into the buffer if the host can write to it, otherwise through a staging copy.
void convert(const piece & p, std::mutex & device) {
    size_t offset = bytes_of_rows(p, p.begin), size = bytes_of_rows(p, p.end - p.begin);
    if (ggml_backend_buffer_is_host(p.to->buffer)) {
        convert_rows(*p.entry, p.file, p.row, p.begin, p.end, static_cast<std::byte *>(p.to->data) + offset);
        return;
    }
    std::vector<std::byte> staging(size);
    convert_rows(*p.entry, p.file, p.row, p.begin, p.end, staging.data());
    std::lock_guard<std::mutex> lock(device);
    ggml_backend_tensor_set(p.to, staging.data(), offset, size);
}

// Returns the parameter's first byte in the mapped file if the CPU can use it without conversion, otherwise
// null.
const std::byte * bytes_in_file(const weight_entry & entry, const std::byte * file) {
    bool whole_rows =
        entry.strides.empty() && entry.groups == 1 && entry.op != weight_entry::transform::transpose;
    // In a quantized block only the scale, a half-precision float, needs alignment.
    size_t alignment = block_elements(entry.type) == 1 ? block_bytes(entry.type) : sizeof(ggml_fp16_t);
    if (!whole_rows || !same_bytes(entry.type, entry.storage) || entry.offset % alignment != 0) {
        return nullptr;
    }
    const std::byte * from = file + entry.offset;
    if (entry.op == weight_entry::transform::rows) {
        shape row(entry.source_dims.begin() + 1, entry.source_dims.end());
        from += bytes_of(entry.type, entry.row_begin * element_count(row));
    }
    return from;
}

}  // namespace

weights::weights(const weight_plan & plan, const std::vector<weight_requirement> & required,
                 const options & opts)
    : buffer_(required.size()) {
    const bool keeps_plan = opts.discardable && !opts.map;
    if (keeps_plan) plan_ = plan;
    std::vector<const weight_entry *> entries = match(keeps_plan ? plan_ : plan, required);
    std::map<size_t, std::unique_ptr<mapped_file>> files;
    uint64_t total = 0, done = 0;
    for (const weight_entry * entry : entries) {
        auto file = files.find(entry->file);
        if (file == files.end()) {
            file = files.emplace(entry->file, std::make_unique<mapped_file>(plan.files[entry->file])).first;
        }
        check_entry(*entry, file->second->size());
        total += entry->length;
    }
    bool map = opts.map && ggml_backend_dev_type(opts.device) == GGML_BACKEND_DEVICE_TYPE_CPU;
    std::map<size_t, ggml_backend_buffer_t> file_buffers;
    for (const auto & [index, file] : files) {
        if (!map) break;
        auto * base = const_cast<std::byte *>(file->data());  // nothing writes to a weight
        file_buffers_.emplace_back(ggml_backend_cpu_buffer_from_ptr(base, file->size()),
                                   ggml_backend_buffer_free);
        file_buffers[index] = file_buffers_.back().get();
    }

    std::vector<piece> pieces;
    for (size_t i = 0; i < entries.size(); i++) {
        tensor t = buffer_.add(entries[i]->storage, required[i].dims);
        parameters_[required[i].name] = {t, required[i].dims};
        const std::byte * file = files.at(entries[i]->file)->data();
        if (const std::byte * mapped = map ? bytes_in_file(*entries[i], file) : nullptr) {
            t->data = const_cast<std::byte *>(mapped);
            t->buffer = file_buffers.at(entries[i]->file);
            done += entries[i]->length;
        } else {
            append_pieces(*entries[i], file, t, pieces);
        }
    }
    buffer_.allocate(opts.device, "The model's weights");
    if (keeps_plan) {
        for (size_t i = 0; i < entries.size(); i++) {
            tensor value = parameters_.at(required[i].name).value;
            discardable_[value->data] = {entries[i], value};
        }
        for (const auto & [index, file] : files) file_states_[index] = {file->size(), file->modified()};
    }

    std::mutex device, reporting;
    parallel_for(static_cast<int64_t>(pieces.size()), opts.threads, [&](int64_t i) {
        opts.cancel.throw_if_cancelled();
        const piece & p = pieces[static_cast<size_t>(i)];
        convert(p, device);
        std::lock_guard<std::mutex> lock(reporting);
        done += bytes_of(p.entry->type, (p.end - p.begin) * p.row);
        opts.progress(std::min(done, total), total);
    });
    if (map) {
        for (auto & [index, file] : files) files_.push_back(std::move(file));
    }
}

tensor weights::get(const std::string & name, const shape & dims, weight_role) {
    auto found = parameters_.find(name);
    if (found == parameters_.end()) {
        throw error("MISSING_TENSOR", "The model has no tensor " + name + " of shape " + to_string(dims));
    }
    if (without_ones(found->second.dims) != without_ones(dims)) {
        throw error("SHAPE_MISMATCH", "Expected shape " + to_string(dims) + " for " + name + " but found " +
                                          to_string(found->second.dims));
    }
    return found->second.value;
}

uint64_t weights::bytes() const {
    return buffer_.bytes() - discarded_bytes_;
}

std::set<const void *> weights::data_of(const std::set<std::string> & names) const {
    std::set<const void *> out;
    for (const std::string & name : names) {
        auto found = parameters_.find(name);
        if (found != parameters_.end()) out.insert(found->second.value->data);
    }
    return out;
}

void weights::discard(const void * data) {
    auto found = discardable_.find(data);
    if (found == discardable_.end() || found->second.discarded || found->second.restored >= 2) return;
    found->second.discarded = true;
    size_t size = ggml_nbytes(found->second.value);
    discard_pages(found->second.value->data, size);
    discarded_bytes_ += size;
}

void weights::restore(const std::set<const void *> & data, int threads, const cancel_token & cancel) {
    std::map<size_t, std::unique_ptr<mapped_file>> files;
    std::vector<piece> pieces;
    std::vector<discardable *> restored;
    for (const void * each : data) {
        auto found = discardable_.find(each);
        if (found == discardable_.end() || !found->second.discarded) continue;
        const weight_entry & entry = *found->second.entry;
        auto [file, added] = files.try_emplace(entry.file);
        if (added) {
            const std::string & path = plan_.files[entry.file];
            file->second = std::make_unique<mapped_file>(path);
            if (file_states_.at(entry.file) != std::pair(file->second->size(), file->second->modified())) {
                throw error("INVALID_FILE", path + " has changed since it was loaded; load the model again");
            }
        }
        append_pieces(entry, file->second->data(), found->second.value, pieces);
        restored.push_back(&found->second);
    }
    std::mutex device;
    parallel_for(static_cast<int64_t>(pieces.size()), threads, [&](int64_t i) {
        cancel.throw_if_cancelled();
        convert(pieces[static_cast<size_t>(i)], device);
    });
    for (discardable * each : restored) {
        each->discarded = false;
        each->restored++;
        discarded_bytes_ -= ggml_nbytes(each->value);
    }
}

}  // namespace safelight
