// What becomes of the sums of a tile. Fragments go through shared memory, each warp on its own, so that a thread has 8
// columns of a token side by side, and neighbours write to neighbouring memory.
#pragma once
#include "elements.cuh"
#include "math.cuh"
#include "tile.cuh"
#include "totals.cuh"

#include <type_traits>

namespace product {

// What an epilogue does with a value (sum and bias), in this order.
enum : int {
    GELU = 1,
    NORM = 2,   // (v - mean) * gain * weight + bias, by the moments of the group
    GLU = 4,    // a value by the sigmoid of its gate: scaled where normalised, else plus the embedding of its row
    ADD = 8,    // to what is there
    FLOAT = 16, // the output is float, whatever the input is
    SUM = 32,   // of values and of squares, as they are stored
};

// Where what comes of a token goes: those columns that are step s of a transposed convolution to `position` + s.
struct Place {
    int64_t at;
    int32_t position, row;

    Place() = default;
    DEVICE Place(const Product &args, Token token) {
        row = token.row;
        position = 0;
        if (args.steps > 1 && args.along_rows)
            position = token.row = args.steps * token.row - args.before;
        else if (args.steps > 1)
            position = token.token = args.steps * token.token - args.before;
        at = token.in(args.to);
    }
};

// What the epilogue has to know, which is known before the sums are and would have to be in registers until then.
template <int TN> struct Ahead {
    Place places[TN];
    int32_t group, tokens, column, none; // tokens that there are, the tile's first column
};

// What a thread has seen, few enough values for floats.
struct Seen {
    float sum = 0, squares = 0;

    template <int N> DEVICE void add(const float (&v)[N]) {
        UNROLL for (int i = 0; i < N; i++) {
            sum += v[i];
            squares += v[i] * v[i];
        }
    }
};

// What becomes of 8 columns, the same for all tokens of a group.
template <class T, int WHAT> class Unit {
  public:
    using Output = std::conditional_t<(WHAT & FLOAT) != 0, float, T>;
    static constexpr int WIDTH = WHAT & GLU ? 4 : 8;
    using There = Elements<Output, WIDTH>;

  private:
    float gain[8], shift[8], scale[4]; // a sum times its gain, which is 1 without a norm, and its shift; what is gated by scale
    Output *output;
    int32_t step, limit;
    const float *embedding;
    int32_t embedding_row;

  public:
    DEVICE Unit(const Product &args, int group, int column) {
        load(shift, args.bias + column);
        if (WHAT & NORM) {
            float bias[8], mean = args.moments[2 * group], group_gain = args.moments[2 * group + 1];
            load(gain, args.norm_weight + column);
            load(bias, args.norm_bias + column);
            load(scale, args.scale + column / 2);
            UNROLL for (int i = 0; i < 8; i++) {
                gain[i] *= group_gain;
                shift[i] = (shift[i] - mean) * gain[i] + bias[i];
            }
        }
        int to = column * WIDTH / 8;
        limit = args.limit;
        step = args.steps > 1 ? to / args.step_columns : 0;
        output = static_cast<Output *>(args.output) + to +
                 step * ((args.along_rows ? args.to.row : args.to.token) - args.step_columns);
        if (WHAT & GLU && !(WHAT & NORM)) {
            embedding = args.embedding ? args.embedding + column / 2 : nullptr;
            embedding_row = args.columns / 2;
        }
    }

    // Where the result of a token goes, or null.
    DEVICE Output *to(const Place &place) const {
        int position = place.position + step;
        return position >= 0 && position < limit ? output + place.at : nullptr;
    }

    // The sums of a token's columns, which are stored on what is `there`.
    DEVICE void finish(const Place &place, const There &there, float (&v)[8], Seen &seen) const {
        UNROLL for (int i = 0; i < 8; i++) v[i] = WHAT & NORM ? v[i] * gain[i] + shift[i] : v[i] + shift[i];
        if (WHAT & GELU) UNROLL for (int i = 0; i < 8; i++) v[i] = gelu(v[i]);
        if constexpr ((WHAT & GLU) != 0) {
            float gated[4], with[4] = {};
            if (!(WHAT & NORM) && embedding) load(with, embedding + static_cast<int64_t>(place.row) * embedding_row);
            UNROLL for (int i = 0; i < 4; i++) {
                gated[i] = v[2 * i] * sigmoid(v[2 * i + 1]);
                gated[i] = WHAT & NORM ? gated[i] * scale[i] : gated[i] + with[i];
            }
            put(place, there, gated, seen);
        } else {
            put(place, there, v, seen);
        }
    }

  private:
    DEVICE void put(const Place &place, const There &there, float (&v)[WIDTH], Seen &seen) const {
        Output *output = to(place);
        if (!output) return;
        if (WHAT & ADD) {
            float before[WIDTH];
            there.to(before);
            UNROLL for (int i = 0; i < WIDTH; i++) v[i] += before[i];
        }
        store_rounded(output, v);
        if (WHAT & SUM) seen.add(v);
    }
};

// 8 values whose halves have changed places where there is a twist of 4.
DEVICE void load_halves(float (&v)[8], const float *from, int twist) {
    float low[4], high[4];
    load(low, from + twist);
    load(high, from + (twist ^ 4));
    UNROLL for (int i = 0; i < 4; i++) v[i] = low[i], v[4 + i] = high[i];
}

// What the epilogue has in shared memory, where the slices were. A warp's tokens go through it some columns at a time, so
// that a thread has the same columns of several tokens. The halves of an odd token's 8 columns change places: then neither
// the fragments that come in nor the columns that go out meet in a bank.
template <int TN, int BN> struct Staging {
    static constexpr int ACROSS = Warps<TN, BN>::COLUMNS % 32 ? 2 : 4; // threads of a token
    static constexpr int WIDTH = ACROSS * 8, STRIDE = WIDTH + 8;
    float values[THREADS / 32][Warps<TN, BN>::TOKENS * STRIDE];
    double sums[THREADS / 32][2];
};

template <class T, int TN, int BN, int WHAT>
DEVICE void finish(const Product &args, const Ahead<TN> &ahead, const Sums<TN, BN> &sums) {
    using Stage = Staging<TN, BN>;
    constexpr int ACROSS = Stage::ACROSS, ALONG = 32 / ACROSS, COUNT = Warps<TN, BN>::TOKENS / ALONG;
    static_assert(sizeof(Stage) <= Loader<T, TN, BN>::RING, "the epilogue needs no more than the slices");
    auto &stage = *reinterpret_cast<Stage *>(shared_memory());
    int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
    int first_token = warp / Warps<TN, BN>::ACROSS * Warps<TN, BN>::TOKENS + lane / ACROSS;
    int first_column = ahead.column + warp % Warps<TN, BN>::ACROSS * Warps<TN, BN>::COLUMNS + lane % ACROSS * 8;
    int group = ahead.group, tokens = ahead.tokens;
    int in = lane / 4 * Stage::STRIDE + ((lane % 4 * 2) ^ (lane / 4 % 2 * 4));
    int out = lane / ACROSS * Stage::STRIDE + lane % ACROSS * 8, twist = lane / ACROSS % 2 * 4;
    float *values = stage.values[warp];
    Seen seen;
    UNROLL for (int part = 0; part < Warps<TN, BN>::COLUMNS / Stage::WIDTH; part++) {
        UNROLL for (int i = 0; i < Sums<TN, BN>::ROWS; i++) {
            UNROLL for (int j = 0; j < ACROSS; j++) {
                const auto &sum = sums.at[i][part * ACROSS + j];
                float *to = values + i * 16 * Stage::STRIDE + in + j * 8;
                store(to, {sum[0], sum[1]});
                store(to + 8 * Stage::STRIDE, {sum[2], sum[3]});
            }
        }
        sync_warp();
        int column = first_column + part * Stage::WIDTH;
        if (column < args.columns) {
            Unit<T, WHAT> unit(args, group, column);
            auto inside = [&](int i) { return first_token + i * ALONG < tokens; };
            typename Unit<T, WHAT>::There there[COUNT];
            if (WHAT & ADD) // all at once, before any of it is needed
                UNROLL for (int i = 0; i < COUNT; i++)
                    if (const auto *from = inside(i) ? unit.to(ahead.places[first_token + i * ALONG]) : nullptr) there[i].load(from);
            UNROLL for (int i = 0; i < COUNT; i++) {
                if (!inside(i)) continue;
                float v[8];
                load_halves(v, values + i * ALONG * Stage::STRIDE + out, twist);
                unit.finish(ahead.places[first_token + i * ALONG], there[i], v, seen);
            }
        }
        sync_warp();
    }
    if (WHAT & SUM) {
        Totals totals{seen.sum, seen.squares};
        totals.gather<THREADS>(stage.sums[0]);
        if (thread == 0) totals.store(args.partials + 2 * static_cast<int64_t>(blockIdx.x));
    }
}

} // namespace product
