// Times single kernels. Reads one layer per line from standard input and writes its milliseconds and the peak
// GFLOPS of fused multiply-adds in registers, measured before and after it. bench/kernels.mjs lists the
// layers of a model and adds up the times.
//
//   conv3x3 batch height width cin cout type norm precision    (norm: GroupNorm and SiLU while reading)
//   gemm rows columns depth type activation prologue precision (prologue: 0 none, 1 LayerNorm)
//   gather batch height width cin cout kernel stride pad type precision
//   attention batch heads head_dim queries keys precision
//   group_norm batch pixels channels
//   peak precision     (milliseconds, and 10^9 operations per second in registers, instead of those of f32;
//                       0 if the processor has no units for the precision)

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "ggml.h"
#include "kernels/kernels.h"

using namespace safelight::kernels;

namespace {

using floats = std::vector<float>;
using seconds = std::chrono::duration<double>;

floats numbers(int64_t n) {
    floats v(static_cast<size_t>(n));
    uint32_t state = 1;
    for (float & x : v) {
        state = state * 1664525 + 1013904223;
        x = static_cast<float>(state >> 8) / (1 << 23) - 1;
    }
    return v;
}

struct stored {
    std::vector<char> bytes;
    weights view;
};

stored store(const std::string & name, int64_t rows, int64_t columns) {
    ggml_type type = GGML_TYPE_COUNT;
    for (int i = 0; i < GGML_TYPE_COUNT; i++) {
        const auto each = static_cast<ggml_type>(i);
        if (ggml_type_name(each) && name == ggml_type_name(each)) type = each;
    }
    const auto * traits = ggml_get_type_traits(type);
    if (columns % traits->blck_size != 0) return store("f16", rows, columns);
    stored s;
    s.bytes.resize(static_cast<size_t>(rows) * ggml_row_size(type, columns));
    const floats row = numbers(columns);
    for (int64_t r = 0; r < rows;
         r++) {  // all rows are equal, because quantizing takes longer than measuring
        char * to = s.bytes.data() + static_cast<size_t>(r) * ggml_row_size(type, columns);
        if (r == 0) {
            ggml_quantize_chunk(type, row.data(), to, 0, 1, columns, nullptr);
        } else {
            std::copy_n(s.bytes.data(), ggml_row_size(type, columns), to);
        }
    }
    const storage kind = type == GGML_TYPE_F32    ? storage::f32
                         : type == GGML_TYPE_F16  ? storage::f16
                         : type == GGML_TYPE_BF16 ? storage::bf16
                                                  : storage::blocks;
    s.view = {s.bytes.data(),   ggml_row_size(type, columns), kind, traits->to_float, traits->blck_size,
              traits->type_size};
    return s;
}

// A pool of threads, as in ggml, because the scratch memory of a kernel belongs to its thread.
class workers {
  public:
    explicit workers(int count) : count_(count), gate_(count) {
        for (int i = 1; i < count; i++) {
            threads_.emplace_back([this, i] {
                for (;;) {
                    gate_.arrive_and_wait();
                    if (stop_) return;
                    (*kernel_)(team{i, count_, &counter_, nullptr, nullptr});
                    gate_.arrive_and_wait();
                }
            });
        }
    }
    ~workers() {
        stop_ = true;
        gate_.arrive_and_wait();
        for (std::thread & t : threads_) t.join();
    }
    workers(const workers &) = delete;
    workers & operator=(const workers &) = delete;

    void run(const std::function<void(const team &)> & kernel) {
        kernel_ = &kernel;
        gate_.arrive_and_wait();
        kernel(team{0, count_, &counter_, nullptr, nullptr});
        gate_.arrive_and_wait();
    }

  private:
    int count_;
    std::barrier<> gate_;
    std::atomic<bool> stop_{false};
    work_counter counter_;
    const std::function<void(const team &)> * kernel_ = nullptr;
    std::vector<std::thread> threads_;
};

precision to_precision(const std::string & name) {
    return name == "int8" ? precision::int8 : name == "bf16" ? precision::bf16 : precision::f32;
}

// Ten independent sums in registers: an upper bound of the speed of any kernel.
template <int VL>
inline __attribute__((always_inline)) float multiply_adds(int64_t rounds, float seed) {
    typedef float vector __attribute__((vector_size(VL * 4)));
    vector sums[10], factor = vector{} + seed, term = vector{} + 1e-9f;
    for (vector & s : sums) s = factor;
    for (int64_t i = 0; i < rounds; i++) {
        for (vector & s : sums) s = s * factor + term;
    }
    float total = 0;
    for (const vector & s : sums) {
        float lanes[VL];
        std::memcpy(lanes, &s, sizeof lanes);
        total += lanes[0];
    }
    return total;
}
#if defined(__x86_64__)
__attribute__((target("avx512f"))) float multiply_adds_avx512(int64_t rounds, float seed) {
    return multiply_adds<16>(rounds, seed);
}
__attribute__((target("avx2,fma"))) float multiply_adds_avx2(int64_t rounds, float seed) {
    return multiply_adds<8>(rounds, seed);
}
// The same for vectors of pairs of bf16 and of four int8 numbers.
__attribute__((target("avx512f,avx512bf16"))) float products_bf16(int64_t rounds, float seed) {
    __m512 sums[10];
    for (__m512 & s : sums) s = _mm512_set1_ps(seed);
    __m512i x = _mm512_set1_epi16(0x3F80);
    for (int64_t i = 0; i < rounds; i++) {
        asm volatile("" : "+v"(x));
        for (__m512 & s : sums)
            s = _mm512_dpbf16_ps(s, reinterpret_cast<__m512bh>(x), reinterpret_cast<__m512bh>(x));
    }
    float total = 0;
    for (const __m512 & s : sums) total += _mm512_reduce_add_ps(s);
    return total;
}
__attribute__((target("avx512f,avx512vnni"))) float products_int8(int64_t rounds, float seed) {
    __m512i sums[10];
    for (__m512i & s : sums) s = _mm512_set1_epi32(static_cast<int>(seed));
    __m512i x = _mm512_set1_epi8(1);
    for (int64_t i = 0; i < rounds; i++) {
        asm volatile("" : "+v"(x));
        for (__m512i & s : sums) s = _mm512_dpbusd_epi32(s, x, x);
    }
    int total = 0;
    for (const __m512i & s : sums) total += _mm512_reduce_add_epi32(s);
    return static_cast<float>(total);
}
#endif
float multiply_adds_portable(int64_t rounds, float seed) {
    return multiply_adds<4>(rounds, seed);
}

// A packed weight, or nothing in f32.
std::vector<uint32_t> pack(const table & k, const weights & w, const packing & p) {
    if (p.precision == precision::f32) return {};
    const auto panels = static_cast<size_t>(k.packed_panels(p));
    const size_t each = k.packed_panel_bytes(p) / sizeof(uint32_t);
    std::vector<uint32_t> out(panels * each);
    for (size_t i = 0; i < panels; i++) k.pack(w, p, static_cast<int64_t>(i), out.data() + i * each);
    return out;
}

using kernel = std::function<void(const team &)>;

double milliseconds_of_one(workers & w, const kernel & k) {
    const auto start = std::chrono::steady_clock::now();
    w.run(k);
    return 1000 * seconds(std::chrono::steady_clock::now() - start).count();
}

// A loop of ten independent instructions, each of so many multiply-adds.
struct loop {
    float (*run)(int64_t, float);
    int multiply_adds;
};
loop loop_of(precision p) {
    const std::string isa = active().name;
#if defined(__x86_64__)
    if (p == precision::bf16) return isa == "avx512bf16" ? loop{products_bf16, 32} : loop{};
    if (p == precision::int8)
        return isa == "avx512bf16" || isa == "avx512vnni" ? loop{products_int8, 64} : loop{};
    if (isa.rfind("avx512", 0) == 0) return {multiply_adds_avx512, 16};
    if (isa.rfind("avx", 0) == 0) return {multiply_adds_avx2, 8};
#endif
    return p == precision::f32 ? loop{multiply_adds_portable, 4} : loop{};
}

struct timing {
    double milliseconds, peak;
};

// Measures the current 10^9 operations per second on all threads.
timing peak(workers & w, int threads, precision p = precision::f32) {
    constexpr int64_t rounds = 300'000;
    const loop l = loop_of(p);
    if (!l.run) return {0, 0};
    const double ms = milliseconds_of_one(w, [&](const team &) {
        static std::atomic<float> sink;
        sink = l.run(rounds, 0.5f);
    });
    return {ms, double(rounds) * 10 * 2 * l.multiply_adds * threads / ms / 1e6};
}

// The speed of a shared machine varies from second to second, so the peak is measured before and after each
// run, and the result is the median of time * peak.
timing measure(workers & w, int threads, const kernel & k) {
    w.run(k);
    std::vector<timing> all;
    double total = 0, before = peak(w, threads).peak;
    while (all.size() < 5 || (total < 40 && all.size() < 100)) {
        const double ms = milliseconds_of_one(w, k), after = peak(w, threads).peak;
        all.push_back({ms, (before + after) / 2});
        total += ms;
        before = after;
    }
    std::sort(all.begin(), all.end(), [](const timing & a, const timing & b) {
        return a.milliseconds * a.peak < b.milliseconds * b.peak;
    });
    return all[all.size() / 2];
}

using run_fn = std::function<timing(const kernel &)>;

timing conv3x3(std::istream & in, const table & k, const run_fn & time) {
    conv3x3_args a{};
    std::string type, format;
    int norm = 0;
    in >> a.batch >> a.height >> a.width >> a.cin >> a.cout >> type >> norm >> format;
    a.precision = to_precision(format);
    const int64_t pixels = a.batch * a.height * a.width;
    const floats x = numbers(pixels * a.cin), scale = numbers(a.batch * 2 * a.cin), bias = numbers(a.cout);
    floats y(static_cast<size_t>(pixels * a.cout));
    const stored s = store(type, a.cout, a.cin * 9);
    a.x = x.data();
    a.y = y.data();
    a.w = s.view;
    a.bias = bias.data();
    a.scale_shift = norm ? scale.data() : nullptr;
    a.silu = norm != 0;
    const auto packed = pack(k, a.w,
                             {a.precision == precision::f32 || is_product(a) ? a.precision : precision::bf16,
                              a.cout, a.cin, 9, false});
    if (!packed.empty()) a.packed = packed.data();
    return time([&](const team & t) { k.conv3x3(a, t); });
}

timing gemm(std::istream & in, const table & k, const run_fn & time) {
    gemm_args a{};
    std::string type, act, format;
    int prologue = 0;
    in >> a.rows >> a.columns >> a.depth >> type >> act >> prologue >> format;
    a.precision = to_precision(format);
    a.act = act == "geglu" ? activation::geglu : act == "gelu" ? activation::gelu : activation::none;
    const int64_t outputs = a.act == activation::geglu ? a.columns / 2 : a.columns;
    const floats x = numbers(a.rows * a.depth), gamma = numbers(a.depth), bias = numbers(a.columns);
    floats y(static_cast<size_t>(a.rows * outputs));
    const stored s = store(type, a.columns, a.depth);
    a.x = x.data();
    a.ldx = a.depth;
    a.y = y.data();
    a.ldy = outputs;
    a.w = s.view;
    a.bias = bias.data();
    a.rows_per_batch = a.rows;
    const auto packed = pack(k, a.w, {a.precision, a.columns, a.depth, 1, a.act == activation::geglu});
    if (!packed.empty()) a.packed = packed.data();
    if (prologue) a.norm_gamma = a.norm_beta = gamma.data();
    a.norm_eps = 1e-5f;
    return time([&](const team & t) { k.gemm(a, t); });
}

timing gather(std::istream & in, const table & k, const run_fn & time) {
    int64_t batch = 0, height = 0, width = 0, cin = 0, cout = 0, kernel = 0, stride = 0, pad = 0;
    std::string type, format;
    in >> batch >> height >> width >> cin >> cout >> kernel >> stride >> pad >> type >> format;
    const int64_t oh = (height + 2 * pad - kernel) / stride + 1, ow = (width + 2 * pad - kernel) / stride + 1;
    const floats x = numbers(batch * height * width * cin);
    floats y(static_cast<size_t>(batch * oh * ow * cout));
    const stored s = store(type, cout, cin * kernel * kernel);
    gemm_args a{};
    a.precision = to_precision(format);
    a.rows = batch * oh * ow;
    a.columns = cout;
    a.depth = cin * kernel * kernel;
    a.x = x.data();
    a.y = y.data();
    a.ldy = cout;
    a.w = s.view;
    a.rows_per_batch = oh * ow;
    a.conv = {height, width, cin, kernel, stride, pad, oh, ow, false};
    const auto packed = pack(k, a.w, {a.precision, cout, cin, kernel * kernel, false});
    if (!packed.empty()) a.packed = packed.data();
    return time([&](const team & t) { k.gemm(a, t); });
}

timing attention(std::istream & in, const table & k, const run_fn & time) {
    attention_args a{};
    std::string format;
    in >> a.batch >> a.heads >> a.head_dim >> a.queries >> a.keys >> format;
    a.precision = to_precision(format);
    const int64_t width = a.heads * a.head_dim;
    const floats q = numbers(a.batch * a.queries * width), key = numbers(a.batch * a.keys * width);
    floats y(q.size());
    a.q = q.data();
    a.k = a.v = key.data();
    a.y = y.data();
    a.ldq = a.ldk = a.ldv = a.ldy = width;
    a.batch_q = a.batch_y = a.queries * width;
    a.batch_k = a.batch_v = a.keys * width;
    a.scale = 0.1f;
    return time([&](const team & t) { k.attention(a, t); });
}

timing group_norm(std::istream & in, const table & k, const run_fn & time) {
    group_norm_args a{};
    in >> a.batch >> a.pixels >> a.channels;
    a.groups = 32;
    a.eps = 1e-5f;
    const floats x = numbers(a.batch * a.pixels * a.channels);
    floats partial(static_cast<size_t>(a.batch * group_norm_chunks(a.pixels) * a.groups * 2));
    floats scale_shift(static_cast<size_t>(a.batch * 2 * a.channels));
    a.x = x.data();
    a.partial = partial.data();
    a.scale_shift = scale_shift.data();
    return time([&](const team & t) { k.group_norm_partial(a, t); });
}

}  // namespace

int main(int argc, char ** argv) {
    const int threads = argc > 1 ? std::atoi(argv[1]) : 2;
    const table & k = active();
    workers w(threads);
    const auto time = [&](const kernel & run) { return measure(w, threads, run); };
    std::string line;
    while (std::getline(std::cin, line)) {
        std::istringstream in(line);
        std::string what;
        in >> what;
        timing t{};
        if (what == "conv3x3") t = conv3x3(in, k, time);
        if (what == "gemm") t = gemm(in, k, time);
        if (what == "gather") t = gather(in, k, time);
        if (what == "attention") t = attention(in, k, time);
        if (what == "group_norm") t = group_norm(in, k, time);
        if (what == "peak") {
            std::string format;
            in >> format;
            // Threads that were idle may share a core for some milliseconds: the best run counts.
            for (int i = 0; i < 10; i++) {
                const timing each = peak(w, threads, to_precision(format));
                if (each.peak > t.peak) t = each;
            }
        }
        std::printf("%.4f %.1f\n", t.milliseconds, t.peak);
        std::fflush(stdout);
    }
    return 0;
}
