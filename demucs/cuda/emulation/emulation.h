// The primitives of device.cuh for a CPU. Threads of a block are fibers; where all 32 of a warp have to meet, each leaves
// what it brings and waits, and then what they meet for is done for all at once.
#pragma once
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <algorithm>

#define DEVICE inline
#define UNROLL
#define UNROLL_BY(times)
#define KERNEL(name, Args, ...) EMULATED_KERNEL(name, Args, __VA_ARGS__)
#define EMULATED_KERNEL(name, Args, ...)                                              \
    static void name(const Args &args);                                               \
    static const emulation::Registration registration_of_##name(                      \
        #name, emulation::first(__VA_ARGS__), sizeof(Args),                           \
        [](const void *args) { name(*static_cast<const Args *>(args)); });            \
    static void name([[maybe_unused]] const Args &args)

namespace emulation {

struct Index {
    unsigned x, y, z;
};

struct Registration {
    Registration(const char *name, unsigned threads, unsigned args_size, void (*body)(const void *));
};

constexpr unsigned first(unsigned threads, unsigned = 0) { return threads; }

enum Failure {
    NONE,
    UNKNOWN_KERNEL,
    SIZE_OF_ARGUMENTS,
    SHARED_MEMORY_SIZE,
    SHARED_MEMORY_OVERRUN,
    DIVERGENCE, // threads wait for each other at different places, or for one that has ended
    MISALIGNED_COPY,
    MISALIGNED_ACCESS,
};

Failure launch(const char *kernel, const unsigned grid[3], unsigned shared_bytes, const void *args, unsigned args_size);
unsigned threads_of(const char *kernel); // of a block; 0: there is no such kernel

// Ends the launch with that error, when the running thread next waits.
void fail(Failure failure);

// What a warp meets for: done once all lanes are there, with what each of them has brought.
using Meeting = void (*)(void *const lanes[32]);
void meet(Meeting meeting, void *brought);

void copy(void *shared, const void *global);
void commit_copies();
void wait_for_copies(unsigned groups_left);

template <class T> struct Shuffled {
    T value;
    int lane;
    T received;
};

template <class T> void exchange(void *const lanes[32]) {
    for (int i = 0; i < 32; i++) {
        auto *mine = static_cast<Shuffled<T> *>(lanes[i]);
        mine->received = static_cast<Shuffled<T> *>(lanes[mine->lane & 31])->value;
    }
}

struct Matrices {
    uint32_t *registers;
    const void *row;
};

struct Fragments {
    float *d;
    const uint32_t *a, *b;
};

void nothing(void *const lanes[32]);
void load_2_matrices(void *const lanes[32]);
void load_4_matrices(void *const lanes[32]);
void load_4_transposed(void *const lanes[32]);
void multiply_halves(void *const lanes[32]);
void multiply_floats(void *const lanes[32]);

extern unsigned char *shared;

} // namespace emulation

extern emulation::Index threadIdx, blockIdx, blockDim, gridDim;

using std::max;
using std::min;

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) uint2 {
    uint32_t x, y;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(uint32_t x, uint32_t y) { return {x, y}; }
inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) { return {x, y, z, w}; }

template <class V> V &in_memory(void *place, int i = 0) {
    static V elsewhere;
    if (reinterpret_cast<uintptr_t>(place) % sizeof(V) == 0) return static_cast<V *>(place)[i];
    emulation::fail(emulation::MISALIGNED_ACCESS);
    return elsewhere;
}
template <class V> const V &in_memory(const void *place, int i = 0) { return in_memory<V>(const_cast<void *>(place), i); }

inline unsigned char *shared_memory() { return emulation::shared; }

void sync();
inline void sync_warp() { emulation::meet(emulation::nothing, nullptr); }

template <class T> T shuffle(T value, int lane) {
    emulation::Shuffled<T> mine{value, lane, value};
    emulation::meet(emulation::exchange<T>, &mine);
    return mine.received;
}
template <class T> T shuffle_xor(T value, int mask) { return shuffle(value, static_cast<int>(threadIdx.x & 31) ^ mask); }

inline uint32_t float_bits(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}
inline float bits_float(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

half to_half(float value);
float to_float(half value);
inline uint32_t pack(float low, float high) { return to_half(low).bits | static_cast<uint32_t>(to_half(high).bits) << 16; }
inline float to_tf32(float value) { return isfinite(value) ? bits_float((float_bits(value) + 0x1000) & ~0x1fffu) : value; }
inline float inverse_sqrt(float value) { return 1 / sqrtf(value); }
inline float power_of_two(float exponent) { return exponent < -126 ? 0 : exp2f(exponent); }
inline float reciprocal(float value) { return 1 / value; }

using Shared = unsigned char *;
inline Shared shared_address(unsigned char *shared) { return shared; }
template <class T> T kept(T value) { return value; }

inline void copy_async16(void *shared, const void *global) { emulation::copy(shared, global); }
inline void copy_commit() { emulation::commit_copies(); }
template <int N> void copy_wait() { emulation::wait_for_copies(N); }

inline void ldmatrix_x4(uint32_t (&r)[4], const void *row) {
    emulation::Matrices mine{r, row};
    emulation::meet(emulation::load_4_matrices, &mine);
}
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row) {
    emulation::Matrices mine{r, row};
    emulation::meet(emulation::load_4_transposed, &mine);
}
inline void ldmatrix_x2(uint32_t (&r)[2], const void *row) {
    emulation::Matrices mine{r, row};
    emulation::meet(emulation::load_2_matrices, &mine);
}
inline void mma_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    emulation::Fragments mine{d, a, b};
    emulation::meet(emulation::multiply_halves, &mine);
}
inline void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    emulation::Fragments mine{d, a, b};
    emulation::meet(emulation::multiply_floats, &mine);
}
