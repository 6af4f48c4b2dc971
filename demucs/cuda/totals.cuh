// Sums over a block in an order that is always the same, in double precision.
#pragma once
#include "device.cuh"

struct Totals {
    double sum = 0, squares = 0;

    DEVICE void add(float value) {
        sum += value;
        squares += static_cast<double>(value) * value;
    }

    // Of all threads, in the first one. `shared` has room for a pair of each warp; all threads come here.
    template <int THREADS> DEVICE void gather(double *shared) {
        UNROLL for (int mask = 16; mask > 0; mask /= 2) {
            sum += shuffle_xor(sum, mask);
            squares += shuffle_xor(squares, mask);
        }
        if (threadIdx.x % 32 == 0) {
            shared[threadIdx.x / 32 * 2] = sum;
            shared[threadIdx.x / 32 * 2 + 1] = squares;
        }
        sync();
        if (threadIdx.x > 0) return;
        for (int warp = 1; warp < THREADS / 32; warp++) {
            sum += shared[warp * 2];
            squares += shared[warp * 2 + 1];
        }
    }

    DEVICE void store(double *to) const {
        to[0] = sum;
        to[1] = squares;
    }
};
