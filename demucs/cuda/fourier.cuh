// The Fourier transform of a power of two of complex values, in shared memory, in place.
#pragma once
#include "device.cuh"

namespace fourier {

constexpr int THREADS = 256, BLOCKS = 4; // at once: more of them would not have enough registers

// Where value i lies: of any four neighbouring bits of i, all 16 combinations are in banks of their own.
DEVICE int place(int i) { return i ^ ((i >> 4 ^ i >> 8 ^ i >> 12) & 15); }

DEVICE int logarithm(int n) {
    int bits = 0;
    while (1 << bits < n) bits++;
    return bits;
}

// The lowest `bits` in the opposite order: that of the values that go into the transform.
DEVICE int reversed(uint32_t i, int bits) {
    i = (i & 0x55555555) << 1 | (i >> 1 & 0x55555555);
    i = (i & 0x33333333) << 2 | (i >> 2 & 0x33333333);
    i = (i & 0x0f0f0f0f) << 4 | (i >> 4 & 0x0f0f0f0f);
    i = (i & 0x00ff00ff) << 8 | (i >> 8 & 0x00ff00ff);
    i = i << 16 | i >> 16;
    return static_cast<int>(i >> (32 - bits));
}

// Stages from `done` on at once: 2^STAGES values meet in registers, first neighbours, then those two apart.
template <int STAGES> DEVICE void pass(float2 *values, const float2 *twiddles, int bits, int done) {
    constexpr int COUNT = 1 << STAGES;
    const int distance = 1 << done;
    for (int i = threadIdx.x; i < 1 << (bits - STAGES); i += THREADS) {
        const int within = i & (distance - 1), first = ((i - within) << STAGES) + within;
        float2 x[COUNT];
        UNROLL for (int j = 0; j < COUNT; j++) x[j] = values[place(first + (j << done))];
        UNROLL for (int stage = 0; stage < STAGES; stage++) {
            const int apart = 1 << stage;
            float2 w[COUNT / 2];
            UNROLL for (int j = 0; j < apart; j++) {
                // Those of the second half are those of the first by -i.
                if (j == 0 || j < apart / 2)
                    w[j] = twiddles[(within + (j << done)) << (bits - 1 - done - stage)];
                else
                    w[j] = make_float2(w[j - apart / 2].y, -w[j - apart / 2].x);
            }
            UNROLL for (int j = 0; j < COUNT; j++) {
                if (j & apart) continue;
                const float2 a = x[j], b = x[j + apart], t = w[j & (apart - 1)];
                const float2 turned = make_float2(b.x * t.x - b.y * t.y, b.x * t.y + b.y * t.x);
                x[j] = make_float2(a.x + turned.x, a.y + turned.y);
                x[j + apart] = make_float2(a.x - turned.x, a.y - turned.y);
            }
        }
        UNROLL for (int j = 0; j < COUNT; j++) values[place(first + (j << done))] = x[j];
    }
    sync();
}

// Values that were stored at `place(reversed(i, bits))` to their transform at `place(i)`, without a scale; the inverse
// where real and imaginary parts change places before and after. Begins and ends with all threads at a barrier.
DEVICE void transform(float2 *values, const float2 *twiddles, int bits) {
    sync();
    if (bits % 3 == 1) pass<1>(values, twiddles, bits, 0);
    if (bits % 3 == 2) pass<2>(values, twiddles, bits, 0);
    for (int done = bits % 3; done < bits; done += 3) pass<3>(values, twiddles, bits, done);
}

} // namespace fourier
