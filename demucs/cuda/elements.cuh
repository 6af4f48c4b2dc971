// Four elements that lie together, of either type, as floats. The place must be a multiple of four elements.
#pragma once
#include "device.cuh"

DEVICE void load4(float (&to)[4], const float *from) {
    const float4 value = *reinterpret_cast<const float4 *>(from);
    to[0] = value.x, to[1] = value.y, to[2] = value.z, to[3] = value.w;
}

DEVICE void load4(float (&to)[4], const half *from) {
    const uint2 value = *reinterpret_cast<const uint2 *>(from);
    unpack(value.x, to[0], to[1]);
    unpack(value.y, to[2], to[3]);
}

DEVICE void store4(float *to, const float (&from)[4]) {
    *reinterpret_cast<float4 *>(to) = make_float4(from[0], from[1], from[2], from[3]);
}

DEVICE void store4(half *to, const float (&from)[4]) {
    *reinterpret_cast<uint2 *>(to) = make_uint2(pack(from[0], from[1]), pack(from[2], from[3]));
}

// The same of two.
DEVICE void store2(float *to, float first, float second) { *reinterpret_cast<float2 *>(to) = make_float2(first, second); }
DEVICE void store2(half *to, float first, float second) { *reinterpret_cast<uint32_t *>(to) = pack(first, second); }

// What is left of a value where it is stored as T.
template <class T> DEVICE float as_stored(float value);
template <> DEVICE float as_stored<float>(float value) { return value; }
template <> DEVICE float as_stored<half>(float value) { return to_float(to_half(value)); }
