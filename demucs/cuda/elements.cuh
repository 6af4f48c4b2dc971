// Neighbouring elements of either type, read and written as few times as possible. Their place is a multiple of their size,
// at most 16 bytes.
#pragma once
#include "device.cuh"

// N of them as they are in memory, 4 to 16 bytes at a time.
template <class T, int N> struct Elements {
    static constexpr int WORDS = N * sizeof(T) / 4;
    uint32_t words[WORDS];

    DEVICE void load(const T *from) {
        if constexpr (WORDS == 1) {
            words[0] = in_memory<uint32_t>(from);
        } else if constexpr (WORDS == 2) {
            const uint2 two = in_memory<uint2>(from);
            words[0] = two.x, words[1] = two.y;
        } else {
            UNROLL for (int i = 0; i < WORDS; i += 4) {
                const uint4 four = in_memory<uint4>(from, i / 4);
                words[i] = four.x, words[i + 1] = four.y, words[i + 2] = four.z, words[i + 3] = four.w;
            }
        }
    }

    DEVICE void store(T *to) const {
        if constexpr (WORDS == 1) {
            in_memory<uint32_t>(to) = words[0];
        } else if constexpr (WORDS == 2) {
            in_memory<uint2>(to) = make_uint2(words[0], words[1]);
        } else {
            UNROLL for (int i = 0; i < WORDS; i += 4)
                in_memory<uint4>(to, i / 4) = make_uint4(words[i], words[i + 1], words[i + 2], words[i + 3]);
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

template <class T, int N> DEVICE void load(float (&to)[N], const T *from) {
    Elements<T, N> elements;
    elements.load(from);
    elements.to(to);
}

template <class T, int N> DEVICE void store(T *to, const float (&from)[N]) {
    Elements<T, N> elements;
    elements.from(from);
    elements.store(to);
}

// The same, and what a load would give of it: what is left of values where they are stored as T.
template <class T, int N> DEVICE void store_rounded(T *to, float (&values)[N]) {
    Elements<T, N> elements;
    elements.from(values);
    elements.store(to);
    elements.to(values);
}
