#include "runtime/weights/weight_writer.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <mutex>

#include "runtime/graph/shape.h"
#include "runtime/platform/mapped_file.h"
#include "runtime/platform/output_file.h"
#include "runtime/threads.h"
#include "runtime/weights/convert.h"

namespace safelight {

namespace {

// Elements that a thread converts at once. Quantizing them takes some milliseconds, so cancellation is
// prompt.
constexpr int64_t piece_elements = 1 << 16;

// An entry being written. Its pages of the source file are dropped when its last piece is written.
struct source {
    const mapped_file * file;
    std::atomic<int64_t> pieces_left{0};
};

struct piece {
    const weight_entry * entry;
    source * origin;
    uint64_t to;  // offset of the entry in the output file
    int64_t row, begin, end;
};

size_t bytes_of_rows(const piece & p, int64_t rows) {
    return static_cast<size_t>(rows * p.row / ggml_blck_size(p.entry->storage)) *
           ggml_type_size(p.entry->storage);
}

// Appends the pieces of an entry to `out`; a single one unless it is divisible.
void append_pieces(const weight_entry & entry, source & origin, uint64_t to, bool divisible,
                   std::vector<piece> & out) {
    bool transposed = entry.op == weight_entry::transform::transpose;
    int64_t row = transposed ? entry.source_dims[0] : entry.dims.back();
    if (row % ggml_blck_size(entry.storage) != 0) {
        throw error("INVALID_OPTION", "Cannot write " + entry.name + " as " + ggml_type_name(entry.storage) +
                                          ": its rows of " + std::to_string(row) +
                                          " elements are not a multiple of the block size " +
                                          std::to_string(ggml_blck_size(entry.storage)));
    }
    int64_t rows = element_count(entry.dims) / row;
    int64_t step = divisible ? std::max<int64_t>(1, piece_elements / row) : rows;
    for (int64_t begin = 0; begin < rows; begin += step) {
        out.push_back({&entry, &origin, to, row, begin, std::min(rows, begin + step)});
        origin.pieces_left++;
    }
}

// Converts rows of an entry to f32, changes them, and converts them to its storage type.
void convert_changed(const piece & p, const value_changes & changes, std::byte * to) {
    weight_entry expanded = *p.entry;
    expanded.storage = GGML_TYPE_F32;
    std::vector<float> values(static_cast<size_t>((p.end - p.begin) * p.row));
    convert_rows(expanded, p.origin->file->data(), p.row, p.begin, p.end, values.data());
    changes.apply(*p.entry, {p.row, p.begin, p.end}, values);
    encode(p.entry->storage, values.data(), to, static_cast<int64_t>(values.size()), p.row);
}

}  // namespace

void write_weights(const weight_plan & plan, const std::vector<uint64_t> & offsets, const std::string & path,
                   const write_options & options) {
    std::map<size_t, std::unique_ptr<mapped_file>> files;
    std::vector<piece> pieces;
    std::deque<source> sources;
    for (size_t i = 0; i < plan.entries.size(); i++) {
        const weight_entry & entry = plan.entries[i];
        if (entry.file >= plan.files.size() || i >= offsets.size()) {
            throw error("INVALID_FILE",
                        "The plan to write " + entry.name + " has an invalid file or no offset");
        }
        auto [file, added] = files.try_emplace(entry.file);
        if (added) {
            file->second = std::make_unique<mapped_file>(plan.files[entry.file]);
        }
        check_entry(entry, file->second->size());
        bool changed = options.changes != nullptr && options.changes->contain(entry);
        if (changed && !encodable(entry.storage)) {
            throw error("INVALID_OPTION", "Expected a type for " + entry.name + " that can be written");
        }
        append_pieces(entry, sources.emplace_back(file->second.get()), offsets[i],
                      !changed || options.changes->divisible(), pieces);
    }
    uint64_t total = 0, done = 0;
    for (const piece & p : pieces) {
        total += bytes_of_rows(p, p.end - p.begin);
    }
    output_file output(path);
    std::mutex reporting;
    parallel_for(static_cast<int64_t>(pieces.size()), options.threads, [&](int64_t i) {
        options.cancel.throw_if_cancelled();
        const piece & p = pieces[static_cast<size_t>(i)];
        std::vector<std::byte> bytes(bytes_of_rows(p, p.end - p.begin));
        if (options.changes != nullptr && options.changes->contain(*p.entry)) {
            convert_changed(p, *options.changes, bytes.data());
        } else {
            convert_rows(*p.entry, p.origin->file->data(), p.row, p.begin, p.end, bytes.data());
        }
        output.write(bytes.data(), bytes.size(), p.to + bytes_of_rows(p, p.begin));
        if (--p.origin->pieces_left == 0) {
            p.origin->file->discard_pages(p.entry->offset, p.entry->length);
            if (options.changes != nullptr) options.changes->release(*p.entry);
        }
        std::lock_guard<std::mutex> lock(reporting);
        done += bytes.size();
        options.progress(done, total);
    });
}

}  // namespace safelight
