// Products of floats, each as three of TF32 numbers.
#include "product.cuh"

PRODUCTS(f32, float, 16)
PRODUCTS(f32, float, 32)
PRODUCTS(f32, float, 48)
PRODUCTS(f32, float, 64)
PRODUCTS(f32, float, 96)
PRODUCTS(f32, float, 128)
