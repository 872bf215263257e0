// Compares every kernel of every instruction set that this machine supports with a float64 reference. Prints
// one line of JSON per case, with its description and its error relative to the largest value. `kernels-test
// list` prints the instruction sets, `kernels-test ISA` checks one, `kernels-test ISA quick` checks it with
// three threads only.

#include "kernels/kernels.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "ggml.h"

using namespace safelight::kernels;
namespace kernels = safelight::kernels;

namespace {

using floats = std::vector<float>;

std::mt19937 generator(1);

floats random_floats(int64_t n, float scale = 1) {
    std::normal_distribution<float> normal;
    floats v(static_cast<size_t>(n));
    for (float & x : v) x = normal(generator) * scale;
    return v;
}

// Weights in a storage type, and their values as floats.
struct stored {
    std::vector<char> bytes;
    floats values;
    weights view;
};

stored store(ggml_type type, int64_t rows, int64_t columns) {
    const auto * traits = ggml_get_type_traits(type);
    stored s;
    s.values = random_floats(rows * columns, 0.1f);
    s.bytes.resize(static_cast<size_t>(rows) * ggml_row_size(type, columns));
    ggml_quantize_chunk(type, s.values.data(), s.bytes.data(), 0, rows, columns, nullptr);
    if (type != GGML_TYPE_F32) traits->to_float(s.bytes.data(), s.values.data(), rows * columns);
    const storage kind = type == GGML_TYPE_F32    ? storage::f32
                         : type == GGML_TYPE_F16  ? storage::f16
                         : type == GGML_TYPE_BF16 ? storage::bf16
                                                  : storage::blocks;
    s.view = {s.bytes.data(),   ggml_row_size(type, columns), kind, traits->to_float, traits->blck_size,
              traits->type_size};
    return s;
}

void run(int threads, const std::function<void(const team &)> & kernel) {
    work_counter counter;
    std::vector<std::thread> others;
    for (int i = 1; i < threads; i++) {
        others.emplace_back([&, i] { kernel(team{i, threads, &counter, nullptr, nullptr}); });
    }
    kernel(team{0, threads, &counter, nullptr, nullptr});
    for (std::thread & t : others) t.join();
}

struct comparison {
    double worst = 0, largest = 0;

    void add(double expected, double got) {
        const double off = std::abs(expected - got);
        if (!(off <= worst)) worst = std::isnan(off) ? INFINITY : off;
        largest = std::max(largest, std::abs(expected));
    }
};

void report(const table & k, const std::string & kernel, const std::string & description,
            const comparison & c) {
    std::printf("{\"isa\":\"%s\",\"kernel\":\"%s\",\"case\":\"%s\",\"error\":%.3g}\n", k.name, kernel.c_str(),
                description.c_str(), std::isfinite(c.worst) ? c.worst / c.largest : 1e30);
}

double silu(double x) {
    return x / (1 + std::exp(-x));
}
double to_bf16(float x) {
    return ggml_bf16_to_fp32(ggml_fp32_to_bf16(x));
}
double gelu(double x) {
    return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
}

double gelu_tanh(double x) {
    return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

double rectified(rectifier r, double x) {
    return r.on && x < 0 ? x * double(r.slope) : x;
}

// A packed weight.
std::vector<uint32_t> pack(const table & k, const weights & w, const packing & p) {
    const auto panels = static_cast<size_t>(k.packed_panels(p));
    const size_t each = k.packed_panel_bytes(p) / sizeof(uint32_t);
    std::vector<uint32_t> out(panels * each);
    for (size_t i = 0; i < panels; i++) k.pack(w, p, static_cast<int64_t>(i), out.data() + i * each);
    return out;
}

std::string name_of(precision p) {
    return p == precision::f32 ? "" : p == precision::bf16 ? " bf16" : " int8";
}

struct conv_case {
    int64_t batch, height, width, cin, cout;
    ggml_type type;
    bool norm, extras;
    rectifier rect = {};
    kernels::precision precision = precision::f32;
};

void check_conv3x3(const table & k, const conv_case & s, int threads) {
    const floats x = random_floats(s.batch * s.height * s.width * s.cin), bias = random_floats(s.cout);
    const floats scale_shift = random_floats(s.batch * 2 * s.cin), add = random_floats(s.batch * s.cout);
    const floats residual = random_floats(s.batch * s.height * s.width * s.cout);
    const stored w = store(s.type, s.cout, s.cin * 9);
    floats y(residual.size(), NAN);
    conv3x3_args args{s.batch,
                      s.height,
                      s.width,
                      s.cin,
                      s.cout,
                      x.data(),
                      y.data(),
                      w.view,
                      bias.data(),
                      s.norm ? scale_shift.data() : nullptr,
                      s.norm,
                      s.extras ? add.data() : nullptr,
                      s.extras ? residual.data() : nullptr,
                      s.rect};
    args.precision = s.precision;
    run(threads, [&](const team & t) { k.conv3x3(args, t); });
    if (s.precision != precision::f32) {
        // A packed filter gives the same result, and another instruction set nearly the same.
        const floats unpacked = y;
        const auto packed =
            pack(k, w.view, {is_product(args) ? s.precision : precision::bf16, s.cout, s.cin, 9, false});
        args.packed = packed.data();
        run(threads, [&](const team & t) { k.conv3x3(args, t); });
        comparison same, others;
        floats portable(y.size(), NAN);
        args.packed = nullptr;
        args.y = portable.data();
        run(threads, [&](const team & t) { find("portable")->conv3x3(args, t); });
        for (size_t i = 0; i < y.size(); i++) {
            same.add(unpacked[i], y[i]);
            others.add(portable[i], y[i]);
        }
        report(k, "packed", "conv3x3" + name_of(s.precision), same);
        report(k, "rounding", "conv3x3" + name_of(s.precision), others);
    }

    comparison c;
    const auto at = [&](int64_t b, int64_t i, int64_t j, int64_t ch) -> double {
        if (i < 0 || j < 0 || i >= s.height || j >= s.width) return 0;
        const double v = x[static_cast<size_t>(((b * s.height + i) * s.width + j) * s.cin + ch)];
        if (!s.norm) return v;
        const float * ss = scale_shift.data() + b * 2 * s.cin;
        return silu(v * ss[ch] + ss[s.cin + ch]);
    };
    for (size_t n = 0; n < y.size(); n++) {
        if (y.size() > 4000 && generator() % (y.size() / 2000) != 0 && !std::isnan(y[n])) continue;
        const auto index = static_cast<int64_t>(n);
        const int64_t o = index % s.cout, j = index / s.cout % s.width,
                      i = index / s.cout / s.width % s.height;
        const int64_t b = index / s.cout / s.width / s.height;
        double sum = bias[static_cast<size_t>(o)];
        for (int64_t ch = 0; ch < s.cin; ch++) {
            for (int64_t tap = 0; tap < 9; tap++) {
                const double v = at(b, i + tap / 3 - 1, j + tap % 3 - 1, ch);
                sum += v * w.values[static_cast<size_t>((o * s.cin + ch) * 9 + tap)];
            }
        }
        if (s.extras) sum += double(add[static_cast<size_t>(b * s.cout + o)]) + residual[n];
        c.add(rectified(s.rect, sum), y[n]);
    }
    char description[160];
    std::snprintf(description, sizeof description,
                  "%ldx%ldx%ld %ld to %ld %s norm %d extras %d threads %d slope %g", long(s.batch),
                  long(s.height), long(s.width), long(s.cin), long(s.cout), ggml_type_name(s.type), s.norm,
                  s.extras, threads, s.rect.on ? double(s.rect.slope) : 1.0);
    report(k, "conv3x3" + name_of(s.precision), description, c);
}

// A convolution that reads its input as several maps, scales its result, adds two residuals and rectifies per
// channel, against the plain convolution of the same input.
void check_joined_conv3x3(const table & k, int64_t side, const std::vector<int64_t> & channels, int64_t cout,
                          int threads) {
    const int64_t pixels = 2 * side * side;
    const int64_t cin = std::accumulate(channels.begin(), channels.end(), int64_t(0));
    const floats bias = random_floats(cout), slopes = random_floats(cout, 2);
    const floats residual = random_floats(pixels * cout), residual2 = random_floats(pixels * cout);
    const stored w = store(GGML_TYPE_F32, cout, cin * 9);
    floats x(static_cast<size_t>(pixels * cin)), plain(residual.size(), NAN), y(residual.size(), NAN);
    std::vector<floats> parts;
    int64_t first = 0;
    for (int64_t count : channels) {
        parts.push_back(random_floats(pixels * count));
        for (int64_t i = 0; i < pixels * count; i++)
            x[static_cast<size_t>(i / count * cin + first + i % count)] =
                parts.back()[static_cast<size_t>(i)];
        first += count;
    }
    conv3x3_args args{2, side, side, cin, cout, x.data(), plain.data(), w.view, bias.data()};
    run(threads, [&](const team & t) { k.conv3x3(args, t); });
    args.x = nullptr;
    args.y = y.data();
    for (size_t i = 0; i < parts.size(); i++) args.parts[args.part_count++] = {parts[i].data(), channels[i]};
    args.scale = 0.2f;
    args.residual = residual.data();
    args.residual_scale = 0.4f;
    args.residual2 = residual2.data();
    args.rect = {true, 0, slopes.data()};
    run(threads, [&](const team & t) { k.conv3x3(args, t); });
    comparison c;
    for (size_t n = 0; n < y.size(); n++) {
        double value = double(0.2f) * plain[n] + double(0.4f) * residual[n] + residual2[n];
        if (value < 0) value *= slopes[n % static_cast<size_t>(cout)];
        c.add(value, y[n]);
    }
    report(k, "conv3x3", std::to_string(parts.size()) + " maps of side " + std::to_string(side), c);
}

void check_depthwise(const table & k, int64_t height, int64_t width, int64_t channels, int threads) {
    const floats x = random_floats(2 * height * width * channels), w = random_floats(channels * 9),
                 bias = random_floats(channels);
    floats y(x.size(), NAN);
    run(threads, [&](const team & t) {
        k.depthwise3x3({2, height, width, channels, x.data(), y.data(), w.data(), bias.data()}, t);
    });
    comparison c;
    for (size_t n = 0; n < y.size(); n++) {
        const auto index = static_cast<int64_t>(n);
        const int64_t ch = index % channels, j = index / channels % width,
                      i = index / channels / width % height;
        double sum = bias[static_cast<size_t>(ch)];
        for (int64_t tap = 0; tap < 9; tap++) {
            const int64_t dy = tap / 3 - 1, dx = tap % 3 - 1;
            if (i + dy < 0 || i + dy >= height || j + dx < 0 || j + dx >= width) continue;
            sum += double(x[static_cast<size_t>(index + (dy * width + dx) * channels)]) *
                   w[static_cast<size_t>(ch * 9 + tap)];
        }
        c.add(sum, y[n]);
    }
    report(k, "depthwise3x3", std::to_string(height) + "x" + std::to_string(width), c);
}

struct gemm_case {
    int64_t rows, columns, depth;
    ggml_type type;
    activation act;
    bool layer_norm;
    rectifier rect = {};
};

void check_gemm(const table & k, const gemm_case & s, int threads) {
    const int64_t outputs = s.act == activation::geglu ? s.columns / 2 : s.columns;
    const floats x = random_floats(s.rows * s.depth), bias = random_floats(s.columns),
                 gamma = random_floats(s.depth);
    const floats beta = random_floats(s.depth), residual = random_floats(s.rows * outputs);
    const stored w = store(s.type, s.columns, s.depth);
    floats y(residual.size(), NAN);
    gemm_args args{};
    args.rows = args.rows_per_batch = s.rows;
    args.columns = s.columns;
    args.depth = args.ldx = s.depth;
    args.x = x.data();
    args.y = y.data();
    args.ldy = outputs;
    args.w = w.view;
    args.bias = bias.data();
    args.act = s.act;
    args.residual = residual.data();
    args.rect = s.rect;
    if (s.layer_norm) {
        args.norm_gamma = gamma.data();
        args.norm_beta = beta.data();
        args.norm_eps = 1e-5f;
    }
    run(threads, [&](const team & t) { k.gemm(args, t); });

    comparison c;
    std::vector<double> row(static_cast<size_t>(s.depth));
    for (int64_t r = 0; r<s.rows; r += s.rows> 40 ? 7 : 1) {
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < s.depth; i++)
            mean += x[static_cast<size_t>(r * s.depth + i)] / double(s.depth);
        for (int64_t i = 0; i < s.depth; i++) {
            variance += std::pow(x[static_cast<size_t>(r * s.depth + i)] - mean, 2) / double(s.depth);
        }
        for (int64_t i = 0; i < s.depth; i++) {
            const auto u = static_cast<size_t>(i);
            const double v = x[static_cast<size_t>(r * s.depth + i)];
            row[u] = s.layer_norm ? (v - mean) / std::sqrt(variance + 1e-5) * gamma[u] + beta[u] : v;
        }
        const auto product = [&](int64_t n) {
            double sum = bias[static_cast<size_t>(n)];
            for (int64_t i = 0; i < s.depth; i++) {
                sum += row[static_cast<size_t>(i)] * w.values[static_cast<size_t>(n * s.depth + i)];
            }
            return sum;
        };
        for (int64_t n = 0; n < outputs; n++) {
            double v = product(n);
            switch (s.act) {
                case activation::none:
                    break;
                case activation::silu:
                    v = silu(v);
                    break;
                case activation::gelu:
                    v = gelu(v);
                    break;
                case activation::quick_gelu:
                    v = v / (1 + std::exp(-1.702 * v));
                    break;
                case activation::gelu_tanh:
                    v = gelu_tanh(v);
                    break;
                case activation::geglu:
                    v *= gelu(product(n + outputs));
                    break;
            }
            const auto at = static_cast<size_t>(r * outputs + n);
            c.add(rectified(s.rect, v + residual[at]), y[at]);
        }
    }
    char description[160];
    std::snprintf(description, sizeof description, "%ldx%ldx%ld %s activation %d norm %d threads %d slope %g",
                  long(s.rows), long(s.columns), long(s.depth), ggml_type_name(s.type), int(s.act),
                  s.layer_norm, threads, s.rect.on ? double(s.rect.slope) : 1.0);
    report(k, "gemm", description, c);
}

// Operands rounded as in a precision.
double rounded(kernels::precision p, float x, float scale) {
    if (p == precision::bf16) return to_bf16(x);
    const float inverse = scale > 0 ? 1 / scale : 0;
    return std::nearbyint(x * inverse);
}
float largest_of(const float * x, int64_t count) {
    float most = 0;
    for (int64_t i = 0; i < count; i++) most = std::max(most, std::abs(x[i]));
    return most;
}

// Weights rounded as in a precision: in int8 in blocks of 32, with scales in f16.
std::vector<double> rounded_weights(kernels::precision p, const stored & w, ggml_type type, int64_t rows,
                                    int64_t depth) {
    std::vector<double> out(w.values.begin(), w.values.end());
    if (p == precision::int8 && type == GGML_TYPE_Q8_0) return out;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t k = 0; k < depth; k += 32) {
            const int64_t count = std::min<int64_t>(32, depth - k);
            const float * from = w.values.data() + r * depth + k;
            const float scale = largest_of(from, count) / 127;
            const double stored_scale =
                p == precision::bf16 ? 1 : double(ggml_fp16_to_fp32(ggml_fp32_to_fp16(scale)));
            for (int64_t i = 0; i < count; i++)
                out[static_cast<size_t>(r * depth + k + i)] = rounded(p, from[i], scale) * stored_scale;
        }
    }
    return out;
}

struct rounded_case {
    kernels::precision precision;
    int64_t rows, columns, depth;
    ggml_type type;
    activation act = activation::none;
    bool exact = false;  // integers whose products and sums are exact in f32
};

// A product in bf16 or int8 against one of rounded operands, with packed weights and without.
void check_rounded_gemm(const table & k, const rounded_case & s, int threads) {
    const int64_t outputs = s.act == activation::geglu ? s.columns / 2 : s.columns;
    floats x = random_floats(s.rows * s.depth);
    const floats second = random_floats(s.rows * 3), up = random_floats(s.columns * 3);
    stored w = store(s.type, s.columns, s.depth);
    if (s.exact) {
        const auto whole = [](float v) { return std::clamp(std::nearbyint(v * 40), -127.f, 127.f); };
        for (size_t i = 0; i < x.size(); i++)
            x[i] = i % static_cast<size_t>(s.depth) == 3 ? 127 : whole(x[i]);
        for (size_t i = 0; i < w.values.size(); i++)
            w.values[i] = (i % 32 == 5 ? -127 : whole(10 * w.values[i])) / 16;
        ggml_quantize_chunk(s.type, w.values.data(), w.bytes.data(), 0, s.columns, s.depth, nullptr);
    }
    floats y(static_cast<size_t>(s.rows * outputs), NAN);
    gemm_args args{};
    args.rows = args.rows_per_batch = s.rows;
    args.columns = s.columns;
    args.ldy = outputs;
    args.depth = args.ldx = s.depth;
    args.x = x.data();
    args.y = y.data();
    args.w = w.view;
    args.act = s.act;
    args.precision = s.precision;
    if (!s.exact) args.second = {second.data(), 3, 3, {up.data(), 12, storage::f32, nullptr, 1, 4}};
    run(threads, [&](const team & t) { k.gemm(args, t); });
    const auto packed = pack(k, w.view, {s.precision, s.columns, s.depth, 1, s.act == activation::geglu});
    floats from_packed(y.size(), NAN);
    args.packed = packed.data();
    args.y = from_packed.data();
    run(threads, [&](const team & t) { k.gemm(args, t); });
    comparison same;
    for (size_t i = 0; i < y.size(); i++) same.add(y[i], from_packed[i]);

    const std::vector<double> rounded_w = rounded_weights(s.precision, w, s.type, s.columns, s.depth);
    comparison c;
    std::vector<double> row(static_cast<size_t>(s.depth));
    for (int64_t r = 0; r<s.rows; r += s.rows> 40 ? 7 : 1) {
        const float * from = x.data() + r * s.depth;
        const float scale = s.precision == precision::int8 ? largest_of(from, s.depth) / 127 : 1;
        for (int64_t i = 0; i < s.depth; i++)
            row[static_cast<size_t>(i)] = rounded(s.precision, from[i], scale);
        const auto product = [&](int64_t n) {
            double sum = 0;
            for (int64_t i = 0; i < s.depth; i++)
                sum += row[static_cast<size_t>(i)] * rounded_w[static_cast<size_t>(n * s.depth + i)];
            sum *= double(scale);
            for (int64_t i = 0; !s.exact && i < 3; i++)
                sum += double(second[static_cast<size_t>(r * 3 + i)]) * up[static_cast<size_t>(n * 3 + i)];
            return sum;
        };
        for (int64_t n = 0; n < outputs; n++) {
            const double value =
                s.act == activation::geglu ? product(n) * gelu(product(n + outputs)) : product(n);
            c.add(value, y[static_cast<size_t>(r * outputs + n)]);
        }
    }
    char description[120];
    std::snprintf(description, sizeof description, "%ldx%ldx%ld %s threads %d", long(s.rows), long(s.columns),
                  long(s.depth), ggml_type_name(s.type), threads);
    report(k, "gemm" + name_of(s.precision) + (s.exact ? " exact" : ""), description, c);
    report(k, "packed", "gemm" + name_of(s.precision) + " " + description, same);
}

// A row with a number that is not finite gives results that are not finite, and does not change other rows.
void check_not_finite(const table & k, kernels::precision p) {
    constexpr int64_t rows = 8, columns = 40, depth = 64;
    comparison c;
    for (const float bad : {NAN, INFINITY}) {
        floats x = random_floats(rows * depth);
        x[depth * 2 + 5] = bad;
        const stored w = store(GGML_TYPE_F16, columns, depth);
        floats y(rows * columns);
        gemm_args args{};
        args.rows = args.rows_per_batch = rows;
        args.columns = args.ldy = columns;
        args.depth = args.ldx = depth;
        args.x = x.data();
        args.y = y.data();
        args.w = w.view;
        args.precision = p;
        run(2, [&](const team & t) { k.gemm(args, t); });
        for (int64_t i = 0; i < rows * columns; i++)
            c.add(i / columns != 2, std::isfinite(y[static_cast<size_t>(i)]));
    }
    report(k, "not finite", "gemm" + name_of(p), c);
}

struct gather_case {
    int64_t batch, height, width, cin, cout, kernel, stride, pad;
    kernels::precision precision = precision::f32;
};

// A convolution computed as a product of gathered rows: stride 2, or a kernel other than 3x3.
void check_gather(const table & k, const gather_case & s, int threads) {
    const int64_t oh = (s.height + 2 * s.pad - s.kernel) / s.stride + 1,
                  ow = (s.width + 2 * s.pad - s.kernel) / s.stride + 1;
    const floats x = random_floats(s.batch * s.height * s.width * s.cin);
    const stored w = store(GGML_TYPE_F16, s.cout, s.cin * s.kernel * s.kernel);
    floats y(static_cast<size_t>(s.batch * oh * ow * s.cout), NAN);
    gemm_args args{};
    args.rows = s.batch * oh * ow;
    args.columns = s.cout;
    args.depth = s.cin * s.kernel * s.kernel;
    args.x = x.data();
    args.y = y.data();
    args.ldy = s.cout;
    args.w = w.view;
    args.rows_per_batch = oh * ow;
    args.conv = {s.height, s.width, s.cin, s.kernel, s.stride, s.pad, oh, ow, false};
    args.precision = s.precision;
    run(threads, [&](const team & t) { k.gemm(args, t); });
    if (s.precision != precision::f32) {
        const floats unpacked = y;
        const auto packed = pack(k, w.view, {s.precision, s.cout, s.cin, s.kernel * s.kernel, false});
        args.packed = packed.data();
        run(threads, [&](const team & t) { k.gemm(args, t); });
        comparison same;
        for (size_t i = 0; i < y.size(); i++) same.add(unpacked[i], y[i]);
        report(k, "packed", "gather" + name_of(s.precision), same);
    }
    const auto value_of = [&](float v) { return s.precision == precision::bf16 ? to_bf16(v) : double(v); };

    comparison c;
    for (size_t n = 0; n < y.size(); n++) {
        const auto index = static_cast<int64_t>(n);
        const int64_t o = index % s.cout, ox = index / s.cout % ow, oy = index / s.cout / ow % oh,
                      b = index / s.cout / ow / oh;
        double sum = 0;
        for (int64_t ch = 0; ch < s.cin; ch++) {
            for (int64_t tap = 0; tap < s.kernel * s.kernel; tap++) {
                const int64_t i = oy * s.stride + tap / s.kernel - s.pad,
                              j = ox * s.stride + tap % s.kernel - s.pad;
                if (i < 0 || j < 0 || i >= s.height || j >= s.width) continue;
                sum += value_of(x[static_cast<size_t>(((b * s.height + i) * s.width + j) * s.cin + ch)]) *
                       value_of(w.values[static_cast<size_t>((o * s.cin + ch) * s.kernel * s.kernel + tap)]);
            }
        }
        c.add(sum, y[n]);
    }
    char description[160];
    std::snprintf(description, sizeof description, "%ldx%ldx%ld %ld to %ld kernel %ld stride %ld pad %ld",
                  long(s.batch), long(s.height), long(s.width), long(s.cin), long(s.cout), long(s.kernel),
                  long(s.stride), long(s.pad));
    report(k, "gather" + name_of(s.precision), description, c);
}

struct attention_case {
    int64_t batch, heads, head_dim, queries, keys;
    bool causal;
    float spread;       // standard deviation of the queries, which scales the scores
    int64_t masks = 0;  // 0: neither bias nor mask
    kernels::precision precision = precision::f32;
};

void check_attention(const table & k, const attention_case & s, int threads) {
    const int64_t width = s.heads * s.head_dim;
    const floats q = random_floats(s.batch * s.queries * width, s.spread),
                 key = random_floats(s.batch * s.keys * width);
    const floats v = random_floats(s.batch * s.keys * width);
    const floats bias = random_floats(s.masks ? s.heads * s.queries * s.keys : 0, 3);
    floats mask = random_floats(s.masks * s.queries * s.keys);
    for (float & m : mask) m = m > 0.5f ? -100.0f : 0.0f;
    floats y(q.size(), NAN);
    const double scale = 1 / std::sqrt(double(s.head_dim));
    const attention_args args{s.batch,
                              s.heads,
                              s.head_dim,
                              s.queries,
                              s.keys,
                              q.data(),
                              key.data(),
                              v.data(),
                              y.data(),
                              width,
                              width,
                              width,
                              width,
                              s.queries * width,
                              s.keys * width,
                              s.keys * width,
                              s.queries * width,
                              static_cast<float>(scale),
                              s.causal,
                              0,
                              0,
                              s.masks ? bias.data() : nullptr,
                              s.masks ? mask.data() : nullptr,
                              s.masks,
                              s.precision};
    run(threads, [&](const team & t) { k.attention(args, t); });

    comparison c;
    for (int64_t b = 0; b < s.batch; b++) {
        for (int64_t h = 0; h < s.heads; h++) {
            for (int64_t t = 0; t<s.queries; t += s.queries> 100 ? 13 : 1) {
                const int64_t end = s.causal ? std::min(t + 1, s.keys) : s.keys;
                std::vector<double> p(static_cast<size_t>(end));
                double top = -INFINITY, total = 0;
                const float * row = q.data() + (b * s.queries + t) * width + h * s.head_dim;
                for (int64_t i = 0; i < end; i++) {
                    const float * to = key.data() + (b * s.keys + i) * width + h * s.head_dim;
                    double dot = 0;
                    for (int64_t d = 0; d < s.head_dim; d++) dot += double(row[d]) * to[d];
                    double score = dot * scale;
                    if (s.masks) {
                        score += bias[static_cast<size_t>((h * s.queries + t) * s.keys + i)];
                        score += mask[static_cast<size_t>((b % s.masks * s.queries + t) * s.keys + i)];
                    }
                    p[static_cast<size_t>(i)] = score;
                    top = std::max(top, score);
                }
                for (double & e : p) total += e = std::exp(e - top);
                for (int64_t d = 0; d < s.head_dim; d++) {
                    double sum = 0;
                    for (int64_t i = 0; i < end; i++) {
                        sum += p[static_cast<size_t>(i)] / total *
                               v[static_cast<size_t>((b * s.keys + i) * width + h * s.head_dim + d)];
                    }
                    c.add(sum, y[static_cast<size_t>((b * s.queries + t) * width + h * s.head_dim + d)]);
                }
            }
        }
    }
    char description[160];
    std::snprintf(description, sizeof description,
                  "%ld x %ld heads of %ld, %ld over %ld, causal %d spread %g", long(s.batch), long(s.heads),
                  long(s.head_dim), long(s.queries), long(s.keys), s.causal, double(s.spread));
    report(k, "attention" + name_of(s.precision), description, c);
}

// Compares the result of applying the scale and shift to x.
void check_group_norm(const table & k, int64_t batch, int64_t pixels, int64_t channels, int64_t groups,
                      float offset, int threads) {
    floats x = random_floats(batch * pixels * channels);
    for (float & v : x) v += offset;
    const floats gamma = random_floats(channels), beta = random_floats(channels);
    floats partial(static_cast<size_t>(batch * group_norm_chunks(pixels) * groups * 2));
    floats scale_shift(static_cast<size_t>(batch * 2 * channels), NAN);
    const group_norm_args args{batch,    pixels,       channels,    groups,         1e-5f,
                               x.data(), gamma.data(), beta.data(), partial.data(), scale_shift.data()};
    run(threads, [&](const team & t) { k.group_norm_partial(args, t); });
    run(threads, [&](const team & t) { k.group_norm_fold(args, t); });

    comparison c;
    const int64_t width = channels / groups;
    for (int64_t b = 0; b < batch; b++) {
        for (int64_t g = 0; g < groups; g++) {
            double mean = 0, variance = 0;
            const auto each = [&](const std::function<void(double, int64_t)> & f) {
                for (int64_t i = 0; i < pixels; i++) {
                    for (int64_t ch = g * width; ch < (g + 1) * width; ch++) {
                        f(x[static_cast<size_t>((b * pixels + i) * channels + ch)], ch);
                    }
                }
            };
            const double n = double(pixels * width);
            each([&](double v, int64_t) { mean += v / n; });
            each([&](double v, int64_t) { variance += (v - mean) * (v - mean) / n; });
            const float * ss = scale_shift.data() + b * 2 * channels;
            each([&](double v, int64_t ch) {
                const auto u = static_cast<size_t>(ch);
                c.add((v - mean) / std::sqrt(variance + 1e-5) * gamma[u] + beta[u],
                      v * ss[ch] + double(ss[channels + ch]));
            });
        }
    }
    char description[160];
    std::snprintf(description, sizeof description, "%ld x %ld pixels, %ld channels in %ld groups, mean %g",
                  long(batch), long(pixels), long(channels), long(groups), double(offset));
    report(k, "group_norm", description, c);
}

// The reference formula, with each of its terms rounded to float.
float code_distance(const float * z, const float * e, int64_t width) {
    double zz = 0, ee = 0, ze = 0;
    for (int64_t k = 0; k < width; k++) {
        const double a = z[k], b = e[k];
        zz += a * a;
        ee += b * b;
        ze += a * b;
    }
    const float sum = static_cast<float>(zz) + static_cast<float>(ee);
    return sum - 2 * static_cast<float>(ze);
}

// Uses codes as close together as those of an untrained codebook, so that many have equal distances in f32,
// and one duplicate code: the first one must be chosen.
void check_nearest_code(const table & k, int64_t rows, int64_t codes, int64_t width, int threads) {
    const floats x = random_floats(rows * width);
    floats codebook = random_floats(codes * width, 1e-4f);
    if (codes > 1) std::copy_n(codebook.begin(), width, codebook.end() - width);
    std::vector<int32_t> index(static_cast<size_t>(rows), -1);
    floats distances(static_cast<size_t>(rows * codes), NAN);
    run(threads, [&](const team & t) {
        k.nearest_code({rows, codes, width, x.data(), codebook.data(), index.data(), nullptr}, t);
    });
    run(threads, [&](const team & t) {
        k.nearest_code({rows, codes, width, x.data(), codebook.data(), nullptr, distances.data()}, t);
    });
    comparison c;
    for (int64_t r = 0; r < rows; r++) {
        int64_t best = 0;
        float nearest = INFINITY;
        for (int64_t n = 0; n < codes; n++) {
            const float d = code_distance(x.data() + r * width, codebook.data() + n * width, width);
            if (d < nearest) nearest = d, best = n;
            c.add(static_cast<double>(d), static_cast<double>(distances[static_cast<size_t>(r * codes + n)]));
        }
        c.add(static_cast<double>(best), index[static_cast<size_t>(r)]);
    }
    report(k, "nearest_code",
           std::to_string(rows) + " rows, " + std::to_string(codes) + "x" + std::to_string(width), c);
}

void check_upsample(const table & k, int64_t height, int64_t width, int64_t to_height, int64_t to_width,
                    int64_t channels) {
    const floats x = random_floats(2 * height * width * channels);
    floats y(static_cast<size_t>(2 * to_height * to_width * channels), NAN);
    run(2, [&](const team & t) {
        k.upsample({2, height, width, to_height, to_width, channels, x.data(), y.data()}, t);
    });
    comparison c;
    for (size_t n = 0; n < y.size(); n++) {
        const auto index = static_cast<int64_t>(n);
        const int64_t ch = index % channels, j = index / channels % to_width,
                      i = index / channels / to_width % to_height;
        const int64_t b = index / channels / to_width / to_height;
        const int64_t from =
            ((b * height + i * height / to_height) * width + j * width / to_width) * channels + ch;
        c.add(x[static_cast<size_t>(from)], y[n]);
    }
    report(k, "upsample", "to " + std::to_string(to_height) + "x" + std::to_string(to_width), c);
}

void check_all(const table & k, bool quick) {
    for (int threads : {1, 3}) {
        if (quick && threads == 1) continue;
        for (ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16}) {
            check_conv3x3(k, {1, 1, 1, 1, 1, type, true, true}, threads);
            check_conv3x3(k, {2, 7, 5, 3, 5, type, true, true}, threads);
            check_conv3x3(k, {3, 9, 13, 65, 33, type, true, false}, threads);
            check_conv3x3(k, {1, 4, 130, 40, 70, type, false, true}, threads);
            check_conv3x3(k, {9, 8, 8, 128, 64, type, false, false}, threads);
            check_conv3x3(k, {2, 9, 13, 24, 37, type, true, true, {true, 0}}, threads);
            check_conv3x3(k, {1, 3, 5, 8, 5, type, false, true, {true, 0.2f}}, threads);
        }
        for (ggml_type type :
             {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0, GGML_TYPE_Q5_0, GGML_TYPE_Q4_0}) {
            for (activation act : {activation::none, activation::geglu}) {
                check_gemm(k, {1, 34, 320, type, act, true}, threads);
                check_gemm(k, {5, 66, 96, type, act, false}, threads);
                check_gemm(k, {201, 18, 1056, type, act, true}, threads);
            }
        }
        for (ggml_type type : {GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K}) {
            check_gemm(k, {2, 6, 768, type, activation::none, false}, threads);
            check_gemm(k, {33, 40, 768, type, activation::none, true}, threads);
        }
        for (activation act :
             {activation::silu, activation::gelu, activation::quick_gelu, activation::gelu_tanh}) {
            check_gemm(k, {3, 9, 77, GGML_TYPE_F16, act, true}, threads);
            check_gemm(k, {97, 18, 513, GGML_TYPE_F32, act, false}, threads);
        }
        check_gemm(k, {3, 34, 320, GGML_TYPE_F16, activation::none, false, {true, 0}}, threads);
        check_gemm(k, {97, 18, 513, GGML_TYPE_F32, activation::silu, false, {true, 0.2f}}, threads);
        for (kernels::precision p : {precision::bf16, precision::int8}) {
            for (ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0}) {
                check_rounded_gemm(k, {p, 5, 66, 96, type}, threads);
                check_rounded_gemm(k, {p, 201, 18, 1056, type, activation::geglu}, threads);
                check_rounded_gemm(k, {p, 300, 70, 640, type}, threads);
                check_rounded_gemm(k, {p, 20, 74, 2080, type, activation::geglu}, threads);
            }
            check_rounded_gemm(k, {p, 30, 9, 77, GGML_TYPE_F16}, threads);
            check_rounded_gemm(k, {p, 97, 18, 513, GGML_TYPE_F32}, threads);
            check_rounded_gemm(k, {p, 33, 40, 768, GGML_TYPE_Q4_K}, threads);
            check_conv3x3(k, {1, 1, 33, 1, 1, GGML_TYPE_F16, true, true, {}, p}, threads);
            check_conv3x3(k, {2, 7, 5, 3, 5, GGML_TYPE_BF16, true, true, {}, p}, threads);
            check_conv3x3(k, {3, 9, 13, 65, 33, GGML_TYPE_F32, true, false, {}, p}, threads);
            check_conv3x3(k, {1, 4, 130, 40, 70, GGML_TYPE_F16, false, true, {}, p}, threads);
            check_conv3x3(k, {2, 12, 8, 160, 64, GGML_TYPE_Q8_0, false, false, {true, 0}, p}, threads);
            check_gather(k, {2, 9, 7, 5, 6, 3, 2, 1, p}, threads);
            check_gather(k, {1, 16, 16, 130, 40, 4, 2, 1, p}, threads);
            check_not_finite(k, p);
        }
        check_rounded_gemm(k, {precision::int8, 25, 70, 320, GGML_TYPE_Q8_0, activation::none, true},
                           threads);
        check_rounded_gemm(k, {precision::int8, 7, 33, 64, GGML_TYPE_F32, activation::none, true}, threads);
        check_gather(k, {2, 9, 7, 5, 6, 3, 2, 1}, threads);
        check_gather(k, {2, 10, 8, 5, 6, 3, 2, 0}, threads);
        check_gather(k, {1, 16, 16, 4, 40, 4, 2, 1}, threads);
        check_gather(k, {1, 6, 6, 33, 3, 5, 1, 2}, threads);
        check_attention(k, {2, 3, 5, 7, 9, false, 1}, threads);
        check_attention(k, {1, 2, 40, 300, 77, false, 1}, threads);
        check_attention(k, {2, 2, 64, 77, 77, true, 1}, threads);
        check_attention(k, {1, 2, 80, 130, 259, false, 30}, threads);
        check_attention(k, {1, 1, 160, 40, 40, true, 30}, threads);
        check_attention(k, {1, 1, 512, 100, 200, false, 1}, threads);
        check_attention(k, {3, 1, 1, 1, 1, false, 1}, threads);
        check_attention(k, {2, 3, 5, 7, 9, false, 1, 0, precision::bf16}, threads);
        check_attention(k, {1, 2, 40, 300, 277, false, 1, 0, precision::bf16}, threads);
        check_attention(k, {2, 2, 64, 77, 77, true, 1, 0, precision::bf16}, threads);
        check_attention(k, {6, 3, 15, 64, 64, false, 1, 3, precision::bf16}, threads);
        check_attention(k, {6, 3, 15, 64, 64, false, 1, 3}, threads);
        check_attention(k, {2, 2, 30, 150, 150, false, 1, 1}, threads);
        check_joined_conv3x3(k, 3, {16, 5}, 3, threads);
        check_joined_conv3x3(k, 11, {64, 32, 32, 32, 32}, 64, threads);
        check_joined_conv3x3(k, 9, {48}, 33, threads);
        check_depthwise(k, 1, 1, 3, threads);
        check_depthwise(k, 5, 7, 37, threads);
        check_group_norm(k, 2, 100, 64, 32, 0, threads);
        check_group_norm(k, 1, 1000, 40, 4, 100, threads);
        check_group_norm(k, 3, 1, 33, 1, 0, threads);
    }
    check_upsample(k, 3, 5, 6, 10, 7);
    check_upsample(k, 4, 4, 7, 5, 33);
    check_nearest_code(k, 1, 1, 1, 1);
    check_nearest_code(k, 70, 333, 3, 1);
    check_nearest_code(k, 70, 333, 3, 3);
    check_nearest_code(k, 33, 65, 256, 2);
    check_nearest_code(k, 96, 2048, 8, 2);
}

}  // namespace

int main(int argc, char ** argv) {
    const bool list = argc > 1 && std::strcmp(argv[1], "list") == 0;
    for (const char * name :
         {"portable", "avx2", "avxvnni", "avx512", "avx512vnni", "avx512bf16", "neon", "neonbf16"}) {
        const table * k = find(name);
        if (!k) continue;
        if (list) {
            std::printf("%s\n", name);
        } else if (argc < 2 || std::strcmp(argv[1], name) == 0) {
            check_all(*k, argc > 2 && std::strcmp(argv[2], "quick") == 0);
        }
    }
    return 0;
}
