// Products of halves.
#include "product.cuh"

PRODUCTS(f16, half, 16)
PRODUCTS(f16, half, 32)
PRODUCTS(f16, half, 48)
PRODUCTS(f16, half, 64)
PRODUCTS(f16, half, 96)
PRODUCTS(f16, half, 128)

// Of long sums, whose operands are what takes the time: more tokens for each column that is read.
#define LONG_PRODUCTS(BN)                                   \
    PRODUCT(f16, half, 256, BN, gelu, GELU)                 \
    PRODUCT(f16, half, 256, BN, gelu_add, GELU | ADD)       \
    PRODUCT(f16, half, 256, BN, glu, GLU)                   \
    PRODUCT(f16, half, 256, BN, add_float_sums, ADD | FLOAT | SUM)

LONG_PRODUCTS(96)
LONG_PRODUCTS(128)
