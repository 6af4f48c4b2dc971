// The product of tokens with weights: product_<f16|f32>_<columns of a tile>_<epilogue>.
// Blocks: groups * tiles of TILE tokens of a group, by tiles of columns. Shared memory: 256 * (TILE + columns of a
// tile) bytes.
#pragma once
#include "epilogue.cuh"

namespace product {

// Blocks that a multiprocessor is to have room for at once: as many as leave all in registers.
template <class T> constexpr int blocks(int columns) {
    int most = columns <= 48 ? 4 : columns <= 64 ? 3 : columns <= 128 ? 2 : 1;
    return sizeof(T) == 4 && most > 2 && columns > 16 ? most - 1 : most;
}

template <class T, int BN, int WHAT> DEVICE void compute(const Product &args) {
    Tokens tokens(args);
    Sums<BN> sums;
    sum_up<T, BN>(args, tokens, sums);
    finish<T, BN, WHAT>(args, tokens, sums);
}

} // namespace product

#define PRODUCT(type, T, BN, epilogue, what)                                                          \
    KERNEL(product_##type##_##BN##_##epilogue, Product, product::THREADS, product::blocks<T>(BN)) {   \
        using namespace product;                                                                      \
        compute<T, BN, what>(args);                                                                   \
    }

#define PRODUCTS(type, T, BN)                                                \
    PRODUCT(type, T, BN, store, STORE)                                       \
    PRODUCT(type, T, BN, store_float, STORE | FLOAT)                         \
    PRODUCT(type, T, BN, gelu, GELU | STORE)                                 \
    PRODUCT(type, T, BN, gelu_add, GELU | ADD | STORE)                       \
    PRODUCT(type, T, BN, add, ADD | STORE)                                   \
    PRODUCT(type, T, BN, add_float, ADD | STORE | FLOAT)                     \
    PRODUCT(type, T, BN, add_float_sums, ADD | STORE | FLOAT | SUM)          \
    PRODUCT(type, T, BN, store_sums, STORE | SUM)                            \
    PRODUCT(type, T, BN, glu, GLU | STORE)                                   \
    PRODUCT(type, T, BN, norm_glu, NORM | GLU | ADD | STORE)
