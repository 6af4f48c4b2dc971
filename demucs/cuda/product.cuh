// The product of tokens with weights: product_<f16|f32>_<tokens of a tile>x<its columns>_<epilogue>.
// Blocks: groups * tiles of tokens of a group * tiles of columns. Shared memory: 256 * (tokens + columns of a tile) +
// 16 * (tokens + 1) bytes.
#pragma once
#include "epilogue.cuh"

namespace product {

// Blocks that a multiprocessor is to have room for at once: as many as leave all in registers.
template <class T> constexpr int blocks(int tokens, int columns) {
    int most = tokens > 128 ? 1 : columns <= 48 ? 4 : columns <= 64 ? 3 : 2;
    return sizeof(T) == 4 && most > 2 && columns > 16 ? most - 1 : most;
}

template <class T, int TN, int BN, int WHAT> DEVICE void compute(const Product &args) {
    Tile<BN> tile(args);
    Tokens<TN> tokens(args, tile.tokens);
    Sums<TN, BN> sums;
    auto &ahead = *reinterpret_cast<Ahead<TN> *>(shared_memory() + Loader<T, TN, BN>::RING);
    int thread = static_cast<int>(threadIdx.x);
    sum_up<T, TN, BN>(args, tokens, tile.column, sums, [&] {
        if (thread < tokens.count) ahead.places[thread] = Place(args, tokens.first.behind(args.from, thread));
        if (thread == 0) ahead.group = tokens.group, ahead.tokens = tokens.count, ahead.column = tile.column;
    });
    finish<T, TN, BN, WHAT>(args, ahead, sums);
}

} // namespace product

#define PRODUCT(type, T, TN, BN, epilogue, what)                                                               \
    KERNEL(product_##type##_##TN##x##BN##_##epilogue, Product, product::THREADS, product::blocks<T>(TN, BN)) { \
        using namespace product;                                                                               \
        compute<T, TN, BN, what>(args);                                                                        \
    }

#define PRODUCTS(type, T, BN)                                    \
    PRODUCT(type, T, 128, BN, store, 0)                          \
    PRODUCT(type, T, 128, BN, store_float, FLOAT)                \
    PRODUCT(type, T, 128, BN, gelu, GELU)                        \
    PRODUCT(type, T, 128, BN, gelu_add, GELU | ADD)              \
    PRODUCT(type, T, 128, BN, add, ADD)                          \
    PRODUCT(type, T, 128, BN, add_float, ADD | FLOAT)            \
    PRODUCT(type, T, 128, BN, add_float_sums, ADD | FLOAT | SUM) \
    PRODUCT(type, T, 128, BN, store_sums, SUM)                   \
    PRODUCT(type, T, 128, BN, glu, GLU)                          \
    PRODUCT(type, T, 128, BN, norm_glu, NORM | GLU | ADD)
