// Attention's products in half precision: a warp has 32 queries, in two strips of 16, so that what it reads of keys and
// values serves twice. Rows of shared memory are eight halves longer than a head, which spreads any eight over all banks.
#pragma once
#include "device.cuh"

namespace attention {

template <int HEAD> struct Halves {
    using Element = half;
    static constexpr int QUERIES = 128, KEYS = 64; // of a tile
    static constexpr int STRIPS = 2;               // of a warp
    static constexpr int QUERY_ROW = HEAD + 8, KEY_ROW = HEAD + 8, VALUE_ROW = HEAD + 8;

    uint32_t queries[STRIPS][HEAD / 16][4];

    DEVICE void take_queries(const half *tile) {
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        UNROLL for (int strip = 0; strip < STRIPS; strip++) {
            const half *row = tile + ((warp * STRIPS + strip) * 16 + lane % 16) * QUERY_ROW + lane / 16 * 8;
            UNROLL for (int k = 0; k < HEAD / 16; k++) ldmatrix_x4(queries[strip][k], row + k * 16);
        }
    }

    DEVICE void score(float (&scores)[STRIPS][KEYS / 8][4], const half *keys) const {
        const int lane = threadIdx.x % 32;
        const half *row = keys + (lane % 8 + lane / 16 * 8) * KEY_ROW + lane / 8 % 2 * 8;
        UNROLL for (int k = 0; k < HEAD / 16; k++) {
            UNROLL for (int n = 0; n < KEYS / 8; n += 2) {
                uint32_t pair[4];
                ldmatrix_x4(pair, row + n * 8 * KEY_ROW + k * 16);
                const uint32_t first[2] = {pair[0], pair[1]}, second[2] = {pair[2], pair[3]};
                UNROLL for (int strip = 0; strip < STRIPS; strip++) {
                    mma_f16(scores[strip][n], queries[strip][k], first);
                    mma_f16(scores[strip][n + 1], queries[strip][k], second);
                }
            }
        }
    }

    // What comes out of one product is laid out as what goes into the other one.
    static DEVICE void weigh(float (&sums)[STRIPS][HEAD / 8][4], const float (&gains)[STRIPS][2],
                             const float (&weights)[STRIPS][KEYS / 8][4], const half *values) {
        UNROLL for (int strip = 0; strip < STRIPS; strip++)
            UNROLL for (int n = 0; n < HEAD / 8; n++)
                UNROLL for (int i = 0; i < 4; i++) sums[strip][n][i] *= gains[strip][i / 2];
        const int lane = threadIdx.x % 32;
        const half *row = values + lane % 16 * VALUE_ROW + lane / 16 * 8;
        UNROLL for (int k = 0; k < KEYS / 16; k++) {
            uint32_t packed[STRIPS][4];
            UNROLL for (int strip = 0; strip < STRIPS; strip++) {
                const float(&left)[4] = weights[strip][2 * k], (&right)[4] = weights[strip][2 * k + 1];
                packed[strip][0] = pack(left[0], left[1]);
                packed[strip][1] = pack(left[2], left[3]);
                packed[strip][2] = pack(right[0], right[1]);
                packed[strip][3] = pack(right[2], right[3]);
            }
            UNROLL for (int n = 0; n < HEAD / 8; n += 2) {
                uint32_t pair[4];
                ldmatrix_x4_trans(pair, row + k * 16 * VALUE_ROW + n * 8);
                const uint32_t first[2] = {pair[0], pair[1]}, second[2] = {pair[2], pair[3]};
                UNROLL for (int strip = 0; strip < STRIPS; strip++) {
                    mma_f16(sums[strip][n], packed[strip], first);
                    mma_f16(sums[strip][n + 1], packed[strip], second);
                }
            }
        }
    }
};

} // namespace attention
