// Products of halves.
#include "product.cuh"

PRODUCTS(f16, half, 16)
PRODUCTS(f16, half, 32)
PRODUCTS(f16, half, 48)
PRODUCTS(f16, half, 64)
PRODUCTS(f16, half, 96)
PRODUCTS(f16, half, 128)
