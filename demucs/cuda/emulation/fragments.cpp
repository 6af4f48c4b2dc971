// What warps meet for: fragments as PTX lays them out over the lanes, and conversions of half precision.
#include "../device.cuh"

namespace emulation {

namespace {

// Of a fragment, lane `l` has rows l / 4 and columns l % 4.
template <class Lane> const Lane &of(void *const lanes[32], int lane) { return *static_cast<const Lane *>(lanes[lane]); }

uint16_t element(const void *row, int i) { return static_cast<const uint16_t *>(row)[i]; }

void load(void *const lanes[32], int matrices, bool transposed) {
    for (int i = 0; i < 8 * matrices; i++)
        if (reinterpret_cast<uintptr_t>(of<Matrices>(lanes, i).row) % 16) return fail(MISALIGNED_COPY);
    for (int lane = 0; lane < 32; lane++)
        for (int matrix = 0; matrix < matrices; matrix++) {
            int g = lane / 4, t = 2 * (lane % 4);
            auto row = [&](int i) { return of<Matrices>(lanes, 8 * matrix + i).row; };
            uint32_t low = transposed ? element(row(t), g) : element(row(g), t);
            uint32_t high = transposed ? element(row(t + 1), g) : element(row(g), t + 1);
            of<Matrices>(lanes, lane).registers[matrix] = low | high << 16;
        }
}

template <int K> void multiply(void *const lanes[32], const float (&a)[16][K], const float (&b)[K][8]) {
    for (int row = 0; row < 16; row++) {
        float sums[8] = {};
        for (int k = 0; k < K; k++)
            for (int column = 0; column < 8; column++) sums[column] += a[row][k] * b[k][column];
        for (int column = 0; column < 8; column++)
            of<Fragments>(lanes, row % 8 * 4 + column / 2).d[row / 8 * 2 + column % 2] += sums[column];
    }
}

float exact(half value) {
    uint32_t sign = (value.bits & 0x8000u) << 16, exponent = value.bits >> 10 & 31, mantissa = value.bits & 0x3ff;
    if (exponent == 0) return bits_float(sign | float_bits(ldexpf(static_cast<float>(mantissa), -24)));
    return bits_float(sign | (exponent == 31 ? 255 : exponent + 112) << 23 | mantissa << 13);
}

} // namespace

void nothing(void *const[32]) {}

void load_2_matrices(void *const lanes[32]) { load(lanes, 2, false); }
void load_4_matrices(void *const lanes[32]) { load(lanes, 4, false); }
void load_4_transposed(void *const lanes[32]) { load(lanes, 4, true); }

void multiply_halves(void *const lanes[32]) {
    float a[16][16], b[16][8];
    for (int lane = 0; lane < 32; lane++) {
        int g = lane / 4, t = 2 * (lane % 4);
        const auto &mine = of<Fragments>(lanes, lane);
        for (int i = 0; i < 4; i++) unpack(mine.a[i], a[g + i % 2 * 8][t + i / 2 * 8], a[g + i % 2 * 8][t + i / 2 * 8 + 1]);
        for (int i = 0; i < 2; i++) unpack(mine.b[i], b[t + i * 8][g], b[t + i * 8 + 1][g]);
    }
    multiply(lanes, a, b);
}

void multiply_floats(void *const lanes[32]) {
    float a[16][8], b[8][8];
    for (int lane = 0; lane < 32; lane++) {
        int g = lane / 4, t = lane % 4;
        const auto &mine = of<Fragments>(lanes, lane);
        for (int i = 0; i < 4; i++) a[g + i % 2 * 8][t + i / 2 * 4] = bits_float(mine.a[i] & ~0x1fffu);
        for (int i = 0; i < 2; i++) b[t + i * 4][g] = bits_float(mine.b[i] & ~0x1fffu);
    }
    multiply(lanes, a, b);
}

} // namespace emulation

float to_float(half value) {
    static const float *const table = [] {
        static float all[65536];
        for (unsigned i = 0; i < 65536; i++) all[i] = emulation::exact(half{static_cast<uint16_t>(i)});
        return all;
    }();
    return table[value.bits];
}

half to_half(float value) {
    uint32_t bits = float_bits(value), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) return {0x7fff};
    if (magnitude >= 0x477fe000) return {static_cast<uint16_t>(sign | 0x7bff)};
    // Of the smallest, the last bit is worth 2^-24: adding 0.5 leaves exactly those bits, rounded to the nearest even.
    if (magnitude < 0x38800000) {
        float rounded = fabsf(value) + 0.5f;
        return {static_cast<uint16_t>(sign | (float_bits(rounded) - 0x3f000000))};
    }
    uint32_t rounded = magnitude - (112u << 23) + 0xfff + (magnitude >> 13 & 1);
    return {static_cast<uint16_t>(sign | rounded >> 13)};
}
