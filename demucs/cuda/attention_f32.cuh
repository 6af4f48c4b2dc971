// Attention's products in single precision: each factor is a big part of 11 bits and a small one, and three of the four
// products of parts count. A product does not mind in which order it goes through the values that it adds up: here a lane
// has neighbouring ones where the instruction says every fourth, so that it reads pairs, and so that the weights that come
// out of one product are laid out as what goes into the other one. Rows of shared memory are as much longer than a head as
// spreads what a warp reads over all banks.
#pragma once
#include "elements.cuh"

namespace attention {

struct Split {
    uint32_t big, small;

    // Of the small part the product itself leaves out the low bits.
    DEVICE explicit Split(float value) {
        const float rounded = to_tf32(value);
        big = float_bits(rounded);
        small = float_bits(value - rounded);
    }
};

DEVICE void mma_split(float (&d)[4], const uint32_t (&a_big)[4], const uint32_t (&a_small)[4], Split b0, Split b1) {
    const uint32_t b_big[2] = {b0.big, b1.big}, b_small[2] = {b0.small, b1.small};
    mma_tf32(d, a_small, b_big);
    mma_tf32(d, a_big, b_small);
    mma_tf32(d, a_big, b_big);
}

template <int HEAD> struct Floats {
    using Element = float;
    static constexpr int QUERIES = 64, KEYS = 32; // of a tile
    static constexpr int STRIPS = 1;              // of a warp
    static constexpr int QUERY_ROW = HEAD + 4, KEY_ROW = HEAD + 8, VALUE_ROW = HEAD + 4;

    uint32_t big[HEAD / 8][4], small[HEAD / 8][4];

    DEVICE void take_queries(const float *tile) {
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        const float *row = tile + (warp * 16 + lane / 4) * QUERY_ROW + lane % 4 * 2;
        UNROLL for (int k = 0; k < HEAD / 8; k++) {
            UNROLL for (int i = 0; i < 4; i++) {
                const Split query(row[i % 2 * 8 * QUERY_ROW + k * 8 + i / 2]);
                big[k][i] = query.big;
                small[k][i] = query.small;
            }
        }
    }

    DEVICE void score(float (&scores)[STRIPS][KEYS / 8][4], const float *keys) const {
        const int lane = threadIdx.x % 32;
        const float *row = keys + lane / 4 * KEY_ROW + lane % 4 * 2;
        UNROLL for (int k = 0; k < HEAD / 8; k++) {
            UNROLL for (int n = 0; n < KEYS / 8; n++) {
                float pair[2];
                load(pair, row + n * 8 * KEY_ROW + k * 8);
                mma_split(scores[0][n], big[k], small[k], Split(pair[0]), Split(pair[1]));
            }
        }
    }

    // A card cuts off what it adds to a sum: so each tile has sums of its own, and those of all tiles are rounded.
    static DEVICE void weigh(float (&sums)[STRIPS][HEAD / 8][4], const float (&gains)[STRIPS][2],
                             const float (&weights)[STRIPS][KEYS / 8][4], const float *values) {
        float added[HEAD / 8][4] = {};
        const int lane = threadIdx.x % 32;
        const float *row = values + lane % 4 * 2 * VALUE_ROW + lane / 4;
        UNROLL for (int k = 0; k < KEYS / 8; k++) {
            const float(&w)[4] = weights[0][k];
            const Split a0(w[0]), a1(w[2]), a2(w[1]), a3(w[3]);
            const uint32_t a_big[4] = {a0.big, a1.big, a2.big, a3.big};
            const uint32_t a_small[4] = {a0.small, a1.small, a2.small, a3.small};
            UNROLL for (int n = 0; n < HEAD / 8; n++) {
                const float *value = row + k * 8 * VALUE_ROW + n * 8;
                mma_split(added[n], a_big, a_small, Split(value[0]), Split(value[VALUE_ROW]));
            }
        }
        UNROLL for (int n = 0; n < HEAD / 8; n++)
            UNROLL for (int i = 0; i < 4; i++) sums[0][n][i] = sums[0][n][i] * gains[0][i / 2] + added[n][i];
    }
};

} // namespace attention
