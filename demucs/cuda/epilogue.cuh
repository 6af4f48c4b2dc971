// What becomes of the sums of a tile. Fragments go through shared memory, each warp on its own, so that a thread has 8
// columns of a token side by side, and neighbours write to neighbouring memory.
#pragma once
#include "tile.cuh"

#include <type_traits>

namespace product {

// What an epilogue does with a value (sum and bias), in this order.
enum : int {
    GELU = 1,
    NORM = 2,   // (v - mean) * gain * weight + bias, by the moments of the group
    GLU = 4,    // a value by the sigmoid of its gate: scaled where normalised, else plus the embedding of its row
    ADD = 8,    // to what is there
    FLOAT = 16, // the output is float, whatever the input is
    STORE = 32,
    SUM = 64, // of values and of squares, as they are stored
};

// v / 2 * (1 + erf(v / sqrt 2)). Source: Abramowitz and Stegun, 7.1.26 (error of erf below 1.5e-7).
DEVICE float gelu(float v) {
    float size = fabsf(v), t = reciprocal(1 + 0.231641888f * size);
    float p = 0.53070271f;
    p = p * t - 0.72657601f;
    p = p * t + 0.71070687f;
    p = p * t - 0.14224837f;
    p = p * t + 0.12741480f;
    return fmaxf(v, 0) - size * (p * t * power_of_two(v * v * -0.72134752f));
}

DEVICE float sigmoid(float v) { return reciprocal(1 + power_of_two(v * -1.44269504f)); }

// N elements side by side in memory, read and written 8 or 16 bytes at a time.
template <class T, int N> struct Elements {
    static constexpr int WORDS = N * sizeof(T) / 4;
    uint32_t words[WORDS];

    DEVICE void load(const T *from) {
        if constexpr (WORDS == 2) {
            auto two = *reinterpret_cast<const uint2 *>(from);
            words[0] = two.x, words[1] = two.y;
        } else {
            UNROLL for (int i = 0; i < WORDS; i += 4) {
                auto four = reinterpret_cast<const uint4 *>(from)[i / 4];
                words[i] = four.x, words[i + 1] = four.y, words[i + 2] = four.z, words[i + 3] = four.w;
            }
        }
    }

    DEVICE void store(T *to) const {
        if constexpr (WORDS == 2) {
            *reinterpret_cast<uint2 *>(to) = make_uint2(words[0], words[1]);
        } else {
            UNROLL for (int i = 0; i < WORDS; i += 4)
                reinterpret_cast<uint4 *>(to)[i / 4] = make_uint4(words[i], words[i + 1], words[i + 2], words[i + 3]);
        }
    }

    DEVICE void from(const float (&v)[N]) {
        UNROLL for (int i = 0; i < WORDS; i++)
            words[i] = sizeof(T) == 4 ? float_bits(v[i]) : pack(v[2 * i % N], v[(2 * i + 1) % N]);
    }

    DEVICE void to(float (&v)[N]) const {
        UNROLL for (int i = 0; i < N; i++) {
            if constexpr (sizeof(T) == 4)
                v[i] = bits_float(words[i]);
            else
                v[i] = i % 2 ? high_half(words[i / 2]) : low_half(words[i / 2]);
        }
    }
};

template <int N> DEVICE void read(const float *from, float (&v)[N]) {
    Elements<float, N> elements;
    elements.load(from);
    elements.to(v);
}

// Where what comes of a token goes: those columns that are step s of a transposed convolution to `position` + s.
struct Place {
    int64_t at;
    int32_t position, row;

    DEVICE Place(const Product &args, int index) {
        Token token(args.from, index);
        row = token.row;
        position = 0;
        if (args.steps > 1 && args.along_rows)
            position = token.row = args.steps * token.row - args.before;
        else if (args.steps > 1)
            position = token.token = args.steps * token.token - args.before;
        at = token.in(args.to);
    }
};

// Where columns go, counted from there.
struct Column {
    int64_t at;
    int32_t step;

    DEVICE Column(const Product &args, int column) {
        step = args.steps > 1 ? column / args.step_columns : 0;
        at = column + step * ((args.along_rows ? args.to.row : args.to.token) - args.step_columns);
    }
};

// The sums of values and of squares of all that a thread has seen.
struct Totals {
    float values = 0, squares = 0;

    template <int N> DEVICE void add(const float (&v)[N]) {
        UNROLL for (int i = 0; i < N; i++) {
            values += v[i];
            squares += v[i] * v[i];
        }
    }

    // Those of the block to `partials`, always added up in the same order.
    DEVICE void store(double *partials, double *shared) const {
        unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
        double sums[2] = {values, squares};
        UNROLL for (int i = 0; i < 2; i++) {
            for (int mask = 16; mask > 0; mask /= 2) sums[i] += shuffle_xor(sums[i], mask);
            if (lane == 0) shared[2 * warp + i] = sums[i];
        }
        sync();
        if (threadIdx.x < 2) {
            double sum = 0;
            for (int i = 0; i < THREADS / 32; i++) sum += shared[2 * i + threadIdx.x];
            partials[threadIdx.x] = sum;
        }
    }
};

// What becomes of 8 columns of a token.
template <class T, int WHAT> struct Unit {
    using Output = std::conditional_t<(WHAT & FLOAT) != 0, float, T>;
    static constexpr int WIDTH = WHAT & GLU ? 4 : 8;

    Elements<Output, WIDTH> there;

    // Where the result goes, or null.
    static DEVICE Output *output(const Product &args, const Place &place, const Column &to) {
        int position = place.position + to.step, limit = args.steps > 1 ? args.limit : 1;
        return position >= 0 && position < limit ? static_cast<Output *>(args.output) + place.at + to.at : nullptr;
    }

    // Asks for what it is added to.
    DEVICE void ask(const Output *from) {
        if (from) there.load(from);
    }

    // Values of `column` and those behind it, of a token of that row.
    DEVICE void finish(const Product &args, int group, int row, int column, Output *output, float (&v)[8], Totals &totals) {
        float bias[8];
        read(args.bias + column, bias);
        UNROLL for (int i = 0; i < 8; i++) v[i] += bias[i];
        if (WHAT & GELU) UNROLL for (int i = 0; i < 8; i++) v[i] = gelu(v[i]);
        if (WHAT & NORM) {
            float weight[8], mean = args.moments[2 * group], gain = args.moments[2 * group + 1];
            read(args.norm_weight + column, weight);
            read(args.norm_bias + column, bias);
            UNROLL for (int i = 0; i < 8; i++) v[i] = (v[i] - mean) * gain * weight[i] + bias[i];
        }
        if constexpr ((WHAT & GLU) != 0) {
            float gated[4], with[4] = {};
            if (WHAT & NORM)
                read(args.scale + column / 2, with);
            else if (args.embedding)
                read(args.embedding + (static_cast<int64_t>(row) * args.columns + column) / 2, with);
            UNROLL for (int i = 0; i < 4; i++) {
                gated[i] = v[2 * i] * sigmoid(v[2 * i + 1]);
                gated[i] = WHAT & NORM ? gated[i] * with[i] : gated[i] + with[i];
            }
            put(output, gated, totals);
        } else {
            put(output, v, totals);
        }
    }

  private:
    DEVICE void put(Output *output, float (&v)[WIDTH], Totals &totals) {
        if (WHAT & STORE) {
            if (!output) return;
            if (WHAT & ADD) {
                float before[WIDTH];
                there.to(before);
                UNROLL for (int i = 0; i < WIDTH; i++) v[i] += before[i];
            }
            there.from(v);
            there.store(output);
            if (WHAT & SUM) there.to(v);
        }
        if (WHAT & SUM) totals.add(v);
    }
};

// What the epilogue has in shared memory, where the slices were.
template <int BN> struct Staging {
    static constexpr int WIDTH = Warps<BN>::COLUMNS, STRIDE = WIDTH + 8; // of 8 rows, the same columns in different banks
    float values[THREADS / 32][16 * STRIDE];
    double sums[THREADS / 32][2];
    alignas(16) unsigned char places[TILE * sizeof(Place)], columns[BN / 8 * sizeof(Column)];
};

template <class T, int BN, int WHAT> DEVICE void finish(const Product &args, const Tokens &tokens, const Sums<BN> &sums) {
    using Stage = Staging<BN>;
    static_assert(sizeof(Stage) <= STAGES * Loader<T, BN>::BYTES, "the epilogue needs no more than the slices");
    auto &stage = *reinterpret_cast<Stage *>(shared_memory());
    auto *places = reinterpret_cast<Place *>(stage.places);
    auto *columns = reinterpret_cast<Column *>(stage.columns);
    int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
    int first_column = static_cast<int>(blockIdx.y) * BN;
    if (thread < tokens.count) places[thread] = Place(args, tokens.first + thread);
    if (thread < BN / 8) columns[thread] = Column(args, (first_column + thread * 8) * Unit<T, WHAT>::WIDTH / 8);
    sync();

    Totals totals;
    float *values = stage.values[warp];
    UNROLL for (int i = 0; i < Sums<BN>::ROWS; i++) {
        constexpr int UNITS = Stage::WIDTH / 8; // of a token
        Unit<T, WHAT> units[UNITS / 2];
        auto token = [&](int j) { return warp / Warps<BN>::ACROSS * Warps<BN>::TOKENS + i * 16 + (j * 32 + lane) / UNITS; };
        auto part = [&](int j) { return warp % Warps<BN>::ACROSS * UNITS + (j * 32 + lane) % UNITS; };
        auto inside = [&](int j) { return token(j) < tokens.count && first_column + part(j) * 8 < args.columns; };
        auto output = [&](int j) { return Unit<T, WHAT>::output(args, places[token(j)], columns[part(j)]); };
        if (WHAT & ADD) // all at once, before any of it is needed
            UNROLL for (int j = 0; j < UNITS / 2; j++)
                if (inside(j)) units[j].ask(output(j));
        UNROLL for (int j = 0; j < Sums<BN>::COLUMNS; j++) {
            auto *to = reinterpret_cast<float2 *>(values + lane / 4 * Stage::STRIDE + j * 8 + lane % 4 * 2);
            to[0] = make_float2(sums.at[i][j][0], sums.at[i][j][1]);
            to[4 * Stage::STRIDE] = make_float2(sums.at[i][j][2], sums.at[i][j][3]);
        }
        sync_warp();
        UNROLL for (int j = 0; j < UNITS / 2; j++) {
            if (!inside(j)) continue;
            float v[8];
            read(values + (j * 32 + lane) / UNITS * Stage::STRIDE + (j * 32 + lane) % UNITS * 8, v);
            auto *to = WHAT & STORE ? output(j) : nullptr;
            units[j].finish(args, tokens.group, places[token(j)].row, first_column + part(j) * 8, to, v, totals);
        }
        sync_warp();
    }
    if (WHAT & SUM) {
        int64_t part = static_cast<int64_t>(blockIdx.x) * gridDim.y + blockIdx.y;
        totals.store(args.partials + 2 * part, stage.sums[0]);
    }
}

} // namespace product
