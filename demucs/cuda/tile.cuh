// A tile of a product: TN tokens by BN columns, summed up in registers.
//
// Tokens and columns of weights come through shared memory, 64 bytes of each at a time (32 halves or 16 floats), in a
// ring of STAGES such slices that are under way while the first of them is multiplied. A warp takes some of the tokens
// and some of the columns.
#pragma once
#include "device.cuh"

namespace product {

constexpr int THREADS = 256, STAGES = 4;
constexpr int SLICE = 64; // bytes

// How the 8 warps share a tile: as square as it gets with whole pairs of 8 columns.
template <int TN, int BN> struct Warps {
    static constexpr int ACROSS = BN % 32 ? 1 : 2;
    static constexpr int ALONG = 8 / ACROSS;
    static constexpr int TOKENS = TN / ALONG, COLUMNS = BN / ACROSS;
};

// Sums of a warp's part of a tile: fragments of 16 tokens by 8 columns.
template <int TN, int BN> struct Sums {
    static constexpr int ROWS = Warps<TN, BN>::TOKENS / 16, COLUMNS = Warps<TN, BN>::COLUMNS / 8;
    float at[ROWS][COLUMNS][4];
};

struct Token {
    int batch, row, token;

    DEVICE Token(const Layout &layout, int index) {
        int rows = index / layout.tokens;
        token = index - rows * layout.tokens;
        batch = rows / layout.rows;
        row = rows - batch * layout.rows;
    }

    // The one so many further on: in a few steps, since rows are long, where divisions would take more.
    DEVICE Token behind(const Layout &layout, int steps) const {
        Token other = *this;
        for (other.token += steps; other.token >= layout.tokens; other.token -= layout.tokens) {
            if (++other.row < layout.rows) continue;
            other.row = 0;
            other.batch++;
        }
        return other;
    }

    DEVICE int64_t in(const Layout &layout) const {
        int within = row * static_cast<int>(layout.row) + token * static_cast<int>(layout.token);
        return layout.start + batch * layout.batch + within;
    }
};

// Which tile a block has. Those of the same tokens follow each other, so that tokens come from memory once for all columns.
template <int BN> struct Tile {
    int tokens, column; // tiles of tokens before it, and its first column

    DEVICE explicit Tile(const Product &args) {
        int across = (args.columns + BN - 1) / BN, index = static_cast<int>(blockIdx.x);
        tokens = index / across;
        column = (index - tokens * across) * BN;
    }
};

// The tokens of a tile, which are of one group.
template <int TN> struct Tokens {
    int tiles, group, before, count; // tiles of a group, tokens of it before these
    Token first;

    DEVICE Tokens(const Product &args, int tile)
        : tiles((args.group_tokens + TN - 1) / TN), group(tile / tiles), before((tile - group * tiles) * TN), count(min(TN, args.group_tokens - before)),
          first(args.from, group * args.group_tokens + before) {}
};

// Where a chunk of 16 bytes of a slice's row lies: 8 rows of the same chunk are in different banks, and so are the 4
// chunks of a row.
DEVICE int swizzled(int row, int chunk) { return row * SLICE + ((chunk ^ (row >> 1 & 3)) << 4); }

// What a thread copies of each slice: a chunk of some of the tokens and of some of the columns. Behind the last token or
// column nothing is copied: what comes of that is dropped.
template <class T, int TN, int BN> class Loader {
    static constexpr int CHUNK = 16 / sizeof(T), STRIDE = THREADS / 4;
    static constexpr int TOKENS = TN / STRIDE, COLUMNS = (BN + STRIDE - 1) / STRIDE;

    const T *tokens[TOKENS];
    const T *column;
    const int32_t *offsets;
    int step, offset, at;
    int wanted = 0; // bits: tokens, then columns

  public:
    static constexpr int BYTES = (TN + BN) * SLICE, RING = STAGES * BYTES;

    DEVICE Loader(const Product &args, const Tokens<TN> &mine, int first) {
        int row = static_cast<int>(threadIdx.x) / 4, chunk = static_cast<int>(threadIdx.x) % 4;
        at = kept(swizzled(row, chunk));
        step = args.k * STRIDE;
        Token token = mine.first.behind(args.from, row);
        UNROLL for (int i = 0; i < TOKENS; i++) {
            if (i > 0) token = token.behind(args.from, STRIDE);
            tokens[i] = static_cast<const T *>(args.input) + token.in(args.from) + chunk * CHUNK % 16;
            if (row + i * STRIDE < mine.count) wanted |= 1 << i;
        }
        UNROLL for (int i = 0; i < COLUMNS; i++)
            if (row + i * STRIDE < min(BN, args.columns - first)) wanted |= 1 << (TOKENS + i);
        column = static_cast<const T *>(args.weights) + static_cast<int64_t>(first + row) * args.k + chunk * CHUNK;
        offsets = args.offsets + chunk * CHUNK / 16;
        offset = *offsets;
    }

    // Starts to copy the next slice, if there are still `left`.
    DEVICE void next(Shared slice, int left) {
        if (left > 0) {
            UNROLL for (int i = 0; i < TOKENS; i++)
                if (wanted >> i & 1) copy_async16(slice + at + i * STRIDE * SLICE, tokens[i] + offset);
            UNROLL for (int i = 0; i < COLUMNS; i++)
                if (wanted >> (TOKENS + i) & 1) copy_async16(slice + at + (TN + i * STRIDE) * SLICE, column + i * step);
            column += SLICE / sizeof(T);
            offsets += SLICE / sizeof(T) / 16;
            if (left > 1) offset = *offsets;
        }
        copy_commit();
    }
};

// Operands as they are multiplied: halves as they are, floats as the sum of two TF32 numbers.
template <class T> struct Operand;

template <> struct Operand<half> {
    static constexpr int PARTS = 1;
    static DEVICE void split(uint32_t bits, uint32_t &part, uint32_t &) { part = bits; }
    static DEVICE void multiply(float (&d)[4], const uint32_t (&a)[1][4], const uint32_t (&b)[1][2]) {
        mma_f16(d, a[0], b[0]);
    }
};

template <> struct Operand<float> {
    static constexpr int PARTS = 2;
    static DEVICE void split(uint32_t bits, uint32_t &big, uint32_t &small) {
        float value = bits_float(bits), rounded = to_tf32(value);
        big = float_bits(rounded);
        small = float_bits(to_tf32(value - rounded));
    }
    // A card cuts off what it adds to a sum: so only 8 products are left to it, and long sums are rounded.
    static DEVICE void multiply(float (&d)[4], const uint32_t (&a)[2][4], const uint32_t (&b)[2][2]) {
        float sum[4] = {};
        mma_tf32(sum, a[1], b[0]);
        mma_tf32(sum, a[0], b[1]);
        mma_tf32(sum, a[0], b[0]);
        UNROLL for (int i = 0; i < 4; i++) d[i] += sum[i];
    }
};

// What a warp multiplies of each slice, by ldmatrix: four matrices of 8 rows by 16 bytes, those of tokens in the order of
// rows, those of columns in that of bytes.
template <class T, int TN, int BN> class Multiplier {
    using Shape = Warps<TN, BN>;
    using Fragments = Sums<TN, BN>;
    static constexpr int PARTS = Operand<T>::PARTS;
    int from_tokens, from_columns;

  public:
    DEVICE Multiplier() {
        int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
        int token = warp / Shape::ACROSS * Shape::TOKENS + lane % 16;
        int column = warp % Shape::ACROSS * Shape::COLUMNS + lane / 16 * 8 + lane % 8;
        from_tokens = kept(swizzled(token, lane / 16));
        from_columns = kept(swizzled(TN + column, lane / 8 % 2));
    }

    // Adds the products of the first or second half of a slice.
    DEVICE void add(Shared slice, int which_half, Fragments &sums) const {
        Shared tokens = slice + (from_tokens ^ which_half * 32), columns = slice + (from_columns ^ which_half * 32);
        uint32_t a[Fragments::ROWS][PARTS][4];
        UNROLL for (int i = 0; i < Fragments::ROWS; i++) {
            uint32_t r[4];
            ldmatrix_x4(r, tokens + i * 16 * SLICE);
            UNROLL for (int j = 0; j < 4; j++) Operand<T>::split(r[j], a[i][0][j], a[i][PARTS - 1][j]);
        }
        UNROLL for (int pair = 0; pair < Fragments::COLUMNS / 2; pair++) {
            uint32_t r[4];
            ldmatrix_x4(r, columns + pair * 16 * SLICE);
            UNROLL for (int which = 0; which < 2; which++) {
                uint32_t b[PARTS][2];
                UNROLL for (int j = 0; j < 2; j++) Operand<T>::split(r[2 * which + j], b[0][j], b[PARTS - 1][j]);
                UNROLL for (int i = 0; i < Fragments::ROWS; i++)
                    Operand<T>::multiply(sums.at[i][2 * pair + which], a[i], b);
            }
        }
    }
};

// `meanwhile` is done while the first slices are under way.
template <class T, int TN, int BN, class Meanwhile>
DEVICE void sum_up(const Product &args, const Tokens<TN> &tokens, int first_column, Sums<TN, BN> &sums, Meanwhile meanwhile) {
    Loader<T, TN, BN> loader(args, tokens, first_column);
    Multiplier<T, TN, BN> multiplier;
    Shared ring = kept(shared_address(shared_memory()));
    auto slice = [=](int i) { return ring + (i & (STAGES - 1)) * Loader<T, TN, BN>::BYTES; };
    static_assert((STAGES & (STAGES - 1)) == 0, "else the ring has no such beginning");
    int slices = args.k * static_cast<int>(sizeof(T)) / SLICE;
    UNROLL for (int i = 0; i < STAGES - 1; i++) loader.next(slice(i), slices - i);
    meanwhile();
    UNROLL for (int i = 0; i < Sums<TN, BN>::ROWS; i++)
        UNROLL for (int j = 0; j < Sums<TN, BN>::COLUMNS; j++)
            UNROLL for (int k = 0; k < 4; k++) sums.at[i][j][k] = 0;

    for (int i = 0; i < slices; i++) {
        copy_wait<STAGES - 2>();
        sync(); // the slice is there for all, and all are done with the one before
        // Where operands have two parts, those of one half are all that there are registers for.
        UNROLL_BY(3 - Operand<T>::PARTS) for (int which_half = 0; which_half < 2; which_half++) {
            multiplier.add(slice(i), which_half, sums);
            if (which_half == 0) loader.next(slice(i + STAGES - 1), slices - i - (STAGES - 1));
        }
    }
    sync();
}

} // namespace product
