// Norms: sums of groups to their moments, and what is normalised without a product behind or before it.
#include "elements.cuh"
#include "math.cuh"
#include "totals.cuh"

namespace norms {

constexpr int THREADS = 256;
constexpr int TOKENS = THREADS / 32; // of a block: a warp has one
constexpr int QUADS = 8;             // of a lane: tokens are at most 32 * 4 * QUADS wide
constexpr int STEPS = 2;             // quads of a thread at once, for enough loads under way

// Four of a vector of so many values, zeros behind.
DEVICE void load_padded(float (&to)[4], const float *vector, int at, int count) {
    if (at + 4 <= count) {
        load(to, vector + at);
    } else {
        UNROLL for (int i = 0; i < 4; i++) to[i] = at + i < count ? vector[at + i] : 0;
    }
}

DEVICE float warp_sum(float value) {
    UNROLL for (int mask = 16; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
    return value;
}

// A token as its warp has it: each lane every 32nd quad, in registers, so that memory is read and written once. Stores
// are apart from loads, or each load would wait for the store before it.
struct Token {
    float x[QUADS][4];
    int lane, channels, width;

    DEVICE int place(int quad) const { return (lane + 32 * quad) * 4; }

    DEVICE void load(const float *from) {
        UNROLL for (int i = 0; i < QUADS; i++) {
            UNROLL for (int c = 0; c < 4; c++) x[i][c] = 0;
            if (place(i) < width) ::load(x[i], from + place(i));
        }
    }

    DEVICE void add(const float *from) {
        UNROLL for (int i = 0; i < QUADS; i++) {
            if (place(i) >= width) continue;
            float added[4];
            ::load(added, from + place(i));
            UNROLL for (int c = 0; c < 4; c++) x[i][c] += added[c];
        }
    }

    template <class T> DEVICE void store(T *to) const {
        UNROLL for (int i = 0; i < QUADS; i++) {
            if (place(i) < width) ::store(to + place(i), x[i]);
        }
    }

    DEVICE void normalize(float mean, float gain, const float *weights, const float *biases) {
        UNROLL for (int i = 0; i < QUADS; i++) {
            if (place(i) >= width) continue;
            float weight[4], bias[4];
            load_padded(weight, weights, place(i), channels);
            load_padded(bias, biases, place(i), channels);
            UNROLL for (int c = 0; c < 4; c++) x[i][c] = (x[i][c] - mean) * gain * weight[c] + bias[c];
        }
    }

    DEVICE float mean() const {
        float sum = 0;
        UNROLL for (int i = 0; i < QUADS; i++) sum += (x[i][0] + x[i][1]) + (x[i][2] + x[i][3]);
        return warp_sum(sum) / channels;
    }

    // What is behind the channels is none of it.
    DEVICE float variance(float mean) const {
        float squares = 0;
        UNROLL for (int i = 0; i < QUADS; i++) {
            UNROLL for (int c = 0; c < 4; c++) {
                const float centred = place(i) + c < channels ? x[i][c] - mean : 0;
                squares += centred * centred;
            }
        }
        return warp_sum(squares) / channels;
    }
};

template <class T> DEVICE void layer_norm(const LayerNorm &args) {
    const int64_t place = static_cast<int64_t>(blockIdx.x) * TOKENS + threadIdx.x / 32;
    if (place >= static_cast<int64_t>(args.batch) * args.tokens) return;
    const int segment = static_cast<int>(place / args.tokens), width = args.width;
    Token token;
    token.lane = threadIdx.x % 32;
    token.channels = args.channels;
    token.width = width;
    token.load(args.stream + place * width);
    if (args.moments) {
        const float *moments = args.moments + segment * 2;
        token.normalize(moments[0], moments[1], args.group_weight, args.group_bias);
        token.store(args.stream + place * width);
    }
    if (!args.output) return;
    if (args.weight) {
        const float mean = token.mean();
        token.normalize(mean, 1 / sqrtf(token.variance(mean) + args.epsilon), args.weight, args.bias);
    }
    if (args.added) token.add(args.added + (place - static_cast<int64_t>(segment) * args.tokens) * width);
    token.store(static_cast<T *>(args.output) + place * width);
}

// A tile of tokens goes through shared memory, where all of a token's channels are at hand. Rows of it are a quad longer
// than a token, which spreads the quads of eight tokens over all banks.
constexpr int TILE = 128, AGAIN = THREADS / TILE;
static_assert(AGAIN == 2, "two threads have a token");

// What the sums of a product of this token would be. Rows are taken four at a time, every other four by each of the two
// threads that a token has; the second one, which has fewer columns, has the plain sum too.
DEVICE void foresee(const Form &form, const float *token, bool second, float &sum, float &squares) {
    const int size = form.size;
    sum = second ? form.constants[0] : 0;
    squares = second ? form.constants[1] : 0;
    for (int row = second ? 4 : 0; row < size; row += 4 * AGAIN) {
        float rows[4];
        load(rows, form.shift + row);
        // Several at once would take registers that there are more blocks for.
        UNROLL_BY(1) for (int column = row; column < size; column += 4) {
            float values[4];
            load(values, token + column);
            UNROLL for (int i = 0; i < 4; i++) {
                float weights[4];
                load(weights, form.columns + (column + i) * size + row);
                UNROLL for (int j = 0; j < 4; j++) rows[j] += weights[j] * values[i];
            }
        }
        UNROLL for (int j = 0; j < 4; j++) squares += rows[j] * rows[j];
    }
    if (!second) return;
    UNROLL_BY(1) for (int column = 0; column < size; column += 4) {
        float values[4], weights[4];
        load(values, token + column);
        load(weights, form.sums + column);
        UNROLL for (int i = 0; i < 4; i++) sum += weights[i] * values[i];
    }
}

template <class T> DEVICE void norm_gelu(const NormGelu &args) {
    const int tiles = (args.group_tokens + TILE - 1) / TILE, group = blockIdx.x / tiles, tile = blockIdx.x % tiles;
    const int tokens = min(TILE, args.group_tokens - tile * TILE), width = args.width;
    const float mean = args.moments[group * 2], gain = args.moments[group * 2 + 1];
    T *values = static_cast<T *>(args.values) + (static_cast<int64_t>(group) * args.group_tokens + tile * TILE) * width;
    float *shared = reinterpret_cast<float *>(shared_memory());
    const int across = args.form.size / 4, quads = tokens * across; // what is behind is 0 and remains it
    for (int first = threadIdx.x; first < quads; first += THREADS * STEPS) {
        float x[STEPS][4];
        UNROLL for (int i = 0; i < STEPS; i++) {
            const int quad = first + i * THREADS;
            const int token = quad / across, channel = (quad - token * across) * 4;
            if (quad < quads) load(x[i], values + token * width + channel);
        }
        UNROLL for (int i = 0; i < STEPS; i++) {
            const int quad = first + i * THREADS, token = quad / across, channel = (quad - token * across) * 4;
            if (quad >= quads) continue;
            float weight[4], bias[4];
            load(weight, args.weight + channel);
            load(bias, args.bias + channel);
            UNROLL for (int c = 0; c < 4; c++) x[i][c] = gelu((x[i][c] - mean) * gain * weight[c] + bias[c]);
            store_rounded(values + token * width + channel, x[i]);
            store(shared + token * (width + 4) + channel, x[i]);
        }
    }
    sync();
    const int token = threadIdx.x % TILE;
    float sum = 0, squares = 0;
    if (token < tokens) foresee(args.form, shared + token * (width + 4), threadIdx.x >= TILE, sum, squares);
    sync();
    Totals totals{sum, squares};
    totals.gather<THREADS>(reinterpret_cast<double *>(shared));
    if (threadIdx.x == 0) totals.store(args.partials + 2 * static_cast<int64_t>(blockIdx.x));
}

} // namespace norms

// Grid: batch * tokens / 8, rounded up.
KERNEL(layer_norm_f16, LayerNorm, norms::THREADS) { norms::layer_norm<half>(args); }
KERNEL(layer_norm_f32, LayerNorm, norms::THREADS) { norms::layer_norm<float>(args); }
KERNEL(layer_norm_float, LayerNorm, norms::THREADS) { norms::layer_norm<float>(args); }

// Grid: groups times (group_tokens / 128, rounded up). Shared memory: 512 * (width + 4) bytes.
KERNEL(norm_gelu_f16, NormGelu, norms::THREADS, 8) { norms::norm_gelu<half>(args); }
KERNEL(norm_gelu_f32, NormGelu, norms::THREADS, 8) { norms::norm_gelu<float>(args); }

// Grid: parts, groups. Shared memory: 128 bytes.
KERNEL(sums, Sums, norms::THREADS) {
    const int64_t length = (args.count + args.parts - 1) / args.parts;
    const int64_t first = blockIdx.x * length, end = min(first + length, args.count);
    const float *values = args.values + blockIdx.y * args.count;
    Totals totals;
    UNROLL_BY(4) for (int64_t i = first + threadIdx.x; i < end; i += norms::THREADS) totals.add(values[i]);
    totals.gather<norms::THREADS>(reinterpret_cast<double *>(shared_memory()));
    if (threadIdx.x == 0) totals.store(args.partials + (static_cast<int64_t>(blockIdx.y) * args.parts + blockIdx.x) * 2);
}

// Grid: groups. Shared memory: 128 bytes.
KERNEL(moments, Moments, norms::THREADS) {
    const double *partials = args.partials + static_cast<int64_t>(blockIdx.x) * args.parts * 2;
    Totals totals;
    UNROLL_BY(4) for (int i = threadIdx.x; i < args.parts; i += norms::THREADS) {
        totals.sum += partials[i * 2];
        totals.squares += partials[i * 2 + 1];
    }
    totals.gather<norms::THREADS>(reinterpret_cast<double *>(shared_memory()));
    if (threadIdx.x > 0) return;
    const double count = static_cast<double>(args.count), mean = totals.sum / count;
    const double spread = max(totals.squares - count * mean * mean, 0.0);
    float *moments = args.moments + blockIdx.x * 2;
    moments[0] = static_cast<float>(mean);
    const double deviation = sqrt(spread / max(count - 1, 1.0)), gain = 1 / sqrt(spread / count + args.epsilon);
    moments[1] = static_cast<float>(args.deviation ? deviation : gain);
}
