// The product of tokens with weights: product_<f16|f32>_<columns of a tile>_<epilogue>.
// Blocks: groups * tiles of TILE tokens of a group * tiles of columns. Shared memory: 256 * (TILE + columns of a
// tile) + 16 * (TILE + 1) bytes.
#pragma once
#include "epilogue.cuh"

namespace product {

// Blocks that a multiprocessor is to have room for at once: as many as leave all in registers.
template <class T> constexpr int blocks(int columns) {
    int most = columns <= 48 ? 4 : columns <= 64 ? 3 : columns <= 128 ? 2 : 1;
    return sizeof(T) == 4 && most > 2 && columns > 16 ? most - 1 : most;
}

template <class T, int BN, int WHAT> DEVICE void compute(const Product &args) {
    Tile<BN> tile(args);
    Tokens tokens(args, tile.tokens);
    Sums<BN> sums;
    auto &ahead = *reinterpret_cast<Ahead *>(shared_memory() + Loader<T, BN>::RING);
    int thread = static_cast<int>(threadIdx.x);
    sum_up<T, BN>(args, tokens, tile.column, sums, [&] {
        if (thread < tokens.count) ahead.places[thread] = Place(args, tokens.first.behind(args.from, thread));
        if (thread == 0) ahead.group = tokens.group, ahead.tokens = tokens.count, ahead.column = tile.column;
    });
    finish<T, BN, WHAT>(args, ahead, sums);
}

} // namespace product

#define PRODUCT(type, T, BN, epilogue, what)                                                        \
    KERNEL(product_##type##_##BN##_##epilogue, Product, product::THREADS, product::blocks<T>(BN)) { \
        using namespace product;                                                                    \
        compute<T, BN, what>(args);                                                                 \
    }

#define PRODUCTS(type, T, BN)                               \
    PRODUCT(type, T, BN, store, 0)                          \
    PRODUCT(type, T, BN, store_float, FLOAT)                \
    PRODUCT(type, T, BN, gelu, GELU)                        \
    PRODUCT(type, T, BN, gelu_add, GELU | ADD)              \
    PRODUCT(type, T, BN, add, ADD)                          \
    PRODUCT(type, T, BN, add_float, ADD | FLOAT)            \
    PRODUCT(type, T, BN, add_float_sums, ADD | FLOAT | SUM) \
    PRODUCT(type, T, BN, store_sums, SUM)                   \
    PRODUCT(type, T, BN, glu, GLU)                          \
    PRODUCT(type, T, BN, norm_glu, NORM | GLU | ADD)
