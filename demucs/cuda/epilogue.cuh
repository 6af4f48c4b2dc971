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
    STORE = 32,
    SUM = 64, // of values and of squares, as they are stored
};

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
    DEVICE void
    finish(const Product &args, int group, int row, int column, Output *output, float (&v)[8], Seen &seen) {
        float bias[8];
        load(bias, args.bias + column);
        UNROLL for (int i = 0; i < 8; i++) v[i] += bias[i];
        if (WHAT & GELU) UNROLL for (int i = 0; i < 8; i++) v[i] = gelu(v[i]);
        if (WHAT & NORM) {
            float weight[8], mean = args.moments[2 * group], gain = args.moments[2 * group + 1];
            load(weight, args.norm_weight + column);
            load(bias, args.norm_bias + column);
            UNROLL for (int i = 0; i < 8; i++) v[i] = (v[i] - mean) * gain * weight[i] + bias[i];
        }
        if constexpr ((WHAT & GLU) != 0) {
            float gated[4], with[4] = {};
            if (WHAT & NORM)
                load(with, args.scale + column / 2);
            else if (args.embedding)
                load(with, args.embedding + (static_cast<int64_t>(row) * args.columns + column) / 2);
            UNROLL for (int i = 0; i < 4; i++) {
                gated[i] = v[2 * i] * sigmoid(v[2 * i + 1]);
                gated[i] = WHAT & NORM ? gated[i] * with[i] : gated[i] + with[i];
            }
            put(output, gated, seen);
        } else {
            put(output, v, seen);
        }
    }

  private:
    DEVICE void put(Output *output, float (&v)[WIDTH], Seen &seen) {
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
        if (WHAT & SUM) seen.add(v);
    }
};

// What the epilogue has in shared memory, where the slices were.
template <int BN> struct Staging {
    static constexpr int WIDTH = Warps<BN>::COLUMNS;
    static constexpr int STRIDE = WIDTH + 8; // the same columns of 4 rows are in different banks
    float values[THREADS / 32][16 * STRIDE];
    double sums[THREADS / 32][2];
    alignas(16) unsigned char places[TILE * sizeof(Place)], columns[BN / 8 * sizeof(Column)];
};

template <class T, int BN, int WHAT>
DEVICE void finish(const Product &args, const Tokens &tokens, const Sums<BN> &sums) {
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

    Seen seen;
    int first_token = warp / Warps<BN>::ACROSS * Warps<BN>::TOKENS;
    float *values = stage.values[warp];
    UNROLL for (int i = 0; i < Sums<BN>::ROWS; i++) {
        constexpr int UNITS = Stage::WIDTH / 8; // of a token
        Unit<T, WHAT> units[UNITS / 2];
        auto token = [&](int j) { return first_token + i * 16 + (j * 32 + lane) / UNITS; };
        auto part = [&](int j) { return warp % Warps<BN>::ACROSS * UNITS + (j * 32 + lane) % UNITS; };
        auto inside = [&](int j) { return token(j) < tokens.count && first_column + part(j) * 8 < args.columns; };
        auto output = [&](int j) { return Unit<T, WHAT>::output(args, places[token(j)], columns[part(j)]); };
        if (WHAT & ADD) // all at once, before any of it is needed
            UNROLL for (int j = 0; j < UNITS / 2; j++)
                if (inside(j)) units[j].ask(output(j));
        UNROLL for (int j = 0; j < Sums<BN>::COLUMNS; j++) {
            float *to = values + lane / 4 * Stage::STRIDE + j * 8 + lane % 4 * 2;
            store(to, {sums.at[i][j][0], sums.at[i][j][1]});
            store(to + 8 * Stage::STRIDE, {sums.at[i][j][2], sums.at[i][j][3]});
        }
        sync_warp();
        UNROLL for (int j = 0; j < UNITS / 2; j++) {
            if (!inside(j)) continue;
            float v[8];
            load(v, values + (j * 32 + lane) / UNITS * Stage::STRIDE + (j * 32 + lane) % UNITS * 8);
            auto *to = WHAT & STORE ? output(j) : nullptr;
            units[j].finish(args, tokens.group, places[token(j)].row, first_column + part(j) * 8, to, v, seen);
        }
        sync_warp();
    }
    if (WHAT & SUM) {
        int64_t part = static_cast<int64_t>(blockIdx.x) * gridDim.y + blockIdx.y;
        Totals totals{seen.sum, seen.squares};
        totals.gather<THREADS>(stage.sums[0]);
        if (thread == 0) totals.store(args.partials + 2 * part);
    }
}

} // namespace product
