// The functions of a network.
#pragma once
#include "device.cuh"

// v / 2 * (1 + erf(v / sqrt 2)). Source: Abramowitz and Stegun, 7.1.26 (error of erf below 1.5e-7).
DEVICE float gelu(float v) {
    float size = fabsf(v), t = reciprocal(1 + 0.231641888f * size);
    float p = 0.53070271f;
    p = p * t - 0.72657601f;
    p = p * t + 0.71070687f;
    p = p * t - 0.14224837f;
    p = p * t + 0.12741480f;
    return fmaxf(v, 0) - size * (p * t * power_of_two(v * v * -0.72134752f));
}

DEVICE float sigmoid(float v) { return reciprocal(1 + power_of_two(v * -1.44269504f)); }
