// What kernels are written with. Only this file knows whether nvcc compiles them for a card, or a C++ compiler for the
// emulation; threads, blocks and the layouts of fragments are those of PTX in both.
//
//   KERNEL(name, Args, THREADS) { ... args ... }    a kernel by that name; behind THREADS, the least blocks at once
//   shared_memory()                                 as many bytes as the launch asks for, aligned to 128
//   sync(), sync_warp(), shuffle(), shuffle_xor()   all threads of a block or warp, without exception
//   in_memory<V>(place, i)                          the i-th V from there on, whose address is a multiple of its size
//   copy_async16(), copy_commit(), copy_wait<N>()   16 bytes to shared memory; all but the last N groups have arrived
//   ldmatrix_...(), mma_...()                       fragments of 8 x 16 bytes, and products of them
#pragma once
#include "arguments.h"

// Bits of half precision; arithmetic is in float.
struct half {
    uint16_t bits;
};

#ifdef __CUDACC__

#define DEVICE __device__ __forceinline__
#define PRAGMA(text) _Pragma(#text)
#define UNROLL PRAGMA(unroll)
#define UNROLL_BY(times) PRAGMA(unroll (times))
#define KERNEL(name, Args, ...) \
    extern "C" __global__ void __launch_bounds__(__VA_ARGS__) name(const __grid_constant__ Args args)

DEVICE unsigned char *shared_memory() {
    extern __shared__ __align__(128) unsigned char shared_bytes[];
    return shared_bytes;
}

template <class V> DEVICE V &in_memory(void *place, int i = 0) { return static_cast<V *>(place)[i]; }
template <class V> DEVICE const V &in_memory(const void *place, int i = 0) { return static_cast<const V *>(place)[i]; }

DEVICE void sync() { __syncthreads(); }
DEVICE void sync_warp() { __syncwarp(); }

template <class T> DEVICE T shuffle(T value, int lane) { return __shfl_sync(0xffffffffu, value, lane); }
template <class T> DEVICE T shuffle_xor(T value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }

DEVICE uint32_t float_bits(float value) { return __float_as_uint(value); }
DEVICE float bits_float(uint32_t bits) { return __uint_as_float(bits); }

// Two halves, the first in the low bits. What is beyond the largest half becomes the largest; NaN stays.
DEVICE uint32_t pack(float low, float high) {
    uint32_t bits;
    asm("cvt.rn.satfinite.f16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
    return bits;
}

DEVICE half to_half(float value) {
    half result;
    asm("cvt.rn.satfinite.f16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
    return result;
}

DEVICE float to_float(half value) {
    float result;
    asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
    return result;
}

// The low 13 bits of the mantissa rounded away: in two instructions, for finite values the result of cvt.rna.tf32.f32,
// which is four.
DEVICE float to_tf32(float value) { return __uint_as_float((__float_as_uint(value) + 0x1000) & ~0x1fffu); }

DEVICE float inverse_sqrt(float value) { return rsqrtf(value); }

// These two to about one unit in the last place; what is smaller than all normal numbers is 0.
DEVICE float power_of_two(float exponent) {
    float result;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(exponent));
    return result;
}
DEVICE float reciprocal(float value) {
    float result;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(value));
    return result;
}

// A place in shared memory in 32 bits, for loops that have no registers to waste.
struct Shared {
    uint32_t address;
    DEVICE Shared operator+(int bytes) const { return {address + bytes}; }
};

DEVICE Shared shared_address(const void *shared) { return {static_cast<uint32_t>(__cvta_generic_to_shared(shared))}; }

// `value`, which the compiler is to keep in a register.
DEVICE int kept(int value) {
    asm volatile("" : "+r"(value));
    return value;
}
DEVICE Shared kept(Shared value) { return {static_cast<uint32_t>(kept(static_cast<int>(value.address)))}; }

DEVICE void copy_async16(Shared shared, const void *global) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared.address), "l"(global) : "memory");
}
DEVICE void copy_async16(void *shared, const void *global) { copy_async16(shared_address(shared), global); }
DEVICE void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> DEVICE void copy_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

DEVICE void ldmatrix_x4(uint32_t (&r)[4], Shared row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(row.address)
                 : "memory");
}

DEVICE void ldmatrix_x4_trans(uint32_t (&r)[4], Shared row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(row.address)
                 : "memory");
}

DEVICE void ldmatrix_x2(uint32_t (&r)[2], Shared row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(row.address)
                 : "memory");
}

DEVICE void ldmatrix_x4(uint32_t (&r)[4], const void *row) { ldmatrix_x4(r, shared_address(row)); }
DEVICE void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row) { ldmatrix_x4_trans(r, shared_address(row)); }
DEVICE void ldmatrix_x2(uint32_t (&r)[2], const void *row) { ldmatrix_x2(r, shared_address(row)); }

// m16n8k16, row.col: d += a * b.
DEVICE void mma_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// m16n8k8, row.col: d += a * b; of a and b the low 13 bits do not count.
DEVICE void mma_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

#else
#include "emulation/emulation.h"
#endif

DEVICE float low_half(uint32_t pair) { return to_float(half{static_cast<uint16_t>(pair & 0xffff)}); }
DEVICE float high_half(uint32_t pair) { return to_float(half{static_cast<uint16_t>(pair >> 16)}); }

DEVICE void unpack(uint32_t pair, float &low, float &high) {
    low = low_half(pair);
    high = high_half(pair);
}
