// What the kernels are given: one structure each, by value. `demucs/src/cuda/arguments.rs` has the same ones.
//
// "T" is the type of the activations and weights: half (`f16`) or float (`f32`), by the kernel's name.
// B is the number of segments of a batch; a group is what a norm is taken over: a row of frequency, or all of time.
#pragma once
#include <stdint.h>

// Where tokens lie, in elements from the beginning of a buffer; a segment has fewer than 2^31. Around the tokens there are
// zeros, as wide as what reads the buffer needs; nobody ever writes there.
struct Layout {
    int64_t start;  // the first token of the first row of the first segment
    int64_t batch;  // from one segment to the next
    int64_t row;    // from one row to the next
    int64_t token;  // from one token to the next
    int32_t rows;   // of a segment
    int32_t tokens; // of a row
};

// Columns of tokens: every convolution and every linear map. Token `m` of B * rows * tokens sees, for each i, the 16
// elements from `offsets[i]` on, counted from where it lies.
struct Product {
    const void *input;       // T
    Layout from;
    const int32_t *offsets;  // [k / 16], multiples of 8
    const void *weights;     // T [columns, rounded up to 128][k]
    const float *bias;       // [columns, rounded up to 128]
    int32_t k;               // a multiple of 32
    int32_t columns;         // that are computed, a multiple of 16; column 2j and 2j + 1 are a value and its gate where gated
    int32_t batch;           // B
    int32_t group_tokens;    // tokens of a group; a tile of tokens is of one group
    int32_t groups;          // B * rows * tokens / group_tokens
    void *output;            // T or float, by the kernel
    Layout to;               // where the result of a token lies: its `rows` and `tokens` are not used
    // Of a transposed convolution a token gives `steps` tokens (else 1) of `step_columns` columns: tokens
    // `steps * i + s - before` along rows or tokens, i the token's own place there; those from 0 to `limit` - 1 are stored.
    int32_t steps;
    int32_t step_columns;
    int32_t along_rows;
    int32_t before;
    int32_t limit;
    double *partials;         // [groups][tiles of tokens of a group][tiles of columns][2]: sums of results, and of squares
    const float *moments;     // [groups][2]: mean and gain (1 / deviation) of the norm
    const float *norm_weight; // [columns]
    const float *norm_bias;   // [columns]
    const float *scale;       // [columns / 2]
    const float *embedding;   // [rows][columns / 2], or null
};

// Softmax over keys, a head at a time: output = sum of values weighted by exp(scale * query . key), normalised. The scale
// is positive; places of queries, keys and values are multiples of 16 bytes, those of the output even.
struct Attention {
    const void *queries; // T, a head's HEAD elements side by side, heads side by side
    const void *keys;    // T
    const void *values;  // T, strides as those of keys
    void *output;        // T
    int64_t query_batch, key_batch, output_batch; // elements from one segment to the next
    int32_t query_token, key_token, output_token; // elements from one token to the next
    int32_t query_tokens, key_tokens;
    int32_t heads;
    float scale;
};

// Tokens of the transformer: first, `stream` in place, a norm over all of a segment's tokens that is already summed up (or
// none), then the norm of each token into `output`, which may be the stream itself (or none). What is behind the channels
// are zeros in the stream and become zeros in the output.
struct LayerNorm {
    float *stream;             // [B][tokens][width]
    const float *moments;      // [B][2]: mean and gain, or null
    const float *group_weight; // [channels]
    const float *group_bias;   // [channels]
    const float *weight;       // [channels], or null: tokens go into the output as they are
    const float *bias;         // [channels]
    const float *added;        // [tokens][width] behind the norm, or null
    void *output;              // T or float by the kernel, [B][tokens][width], or null
    int32_t batch, tokens, channels, width; // width: a multiple of 4, at most 1024
    float epsilon;
};

// The sums of groups to their moments, in a fixed order and in double precision.
struct Moments {
    const double *partials; // [groups][parts][2]
    float *moments;         // [groups][2]
    int32_t groups, parts;
    int64_t count;          // values of a group
    int32_t deviation;      // 1: mean and deviation (divided by count - 1); 0: mean and 1 / sqrt(variance + epsilon)
    float epsilon;
};

// What the sums over the columns y = W h + b of a product are, as forms of what it is given, without the product: with the
// triangle R of [W b] = Q R they are l . h + c and |R (h, 1)|^2.
struct Form {
    const float *columns;   // [size][size]: of R the column of each value of h
    const float *shift;     // [size]: of R the column of the 1
    const float *sums;      // [size]: l
    const float *constants; // [2]: c, and the square of the last number of R
    int32_t size;           // values of h, a multiple of 4; zeros behind
};

// Norm of each group and GELU, in place, and the sums of what the next product makes of that.
struct NormGelu {
    void *values;          // T [groups][group_tokens][width]
    const float *moments;  // [groups][2]
    const float *weight;   // [width]; zeros beyond the channels
    const float *bias;     // [width]; zeros beyond the channels
    Form form;
    double *partials;      // [groups][tiles of 128 tokens of a group][2]
    int32_t groups, group_tokens, width;
};

// Sums of samples, for their norm.
struct Sums {
    const float *values; // [groups][count]
    double *partials;    // [groups][parts][2]
    int64_t count;
    int32_t groups, parts;
};

// Short-time Fourier transform of both channels at once. Frame t begins 3 / 8 of a frame before sample t * nfft / 4; the
// mix is reflected at both ends, which must not be further away than it is long.
struct Analyze {
    const float *mix;      // [B][2][samples]
    const float *window;   // [nfft]: (0.5 - 0.5 * cos(2 pi i / nfft)) / sqrt(nfft)
    const float *twiddles; // [nfft / 2][2]: cos and -sin of 2 pi i / nfft
    float *spectrum;       // [B][frames][nfft / 2][4]: left re, im, right re, im
    double *partials;      // [B][frames][2]
    int32_t batch, samples, frames, nfft; // nfft: a power of two from 16 to 8192
};

// A spectrum, normalised, to the input of the frequency branch: `stride` bins are a token of `4 * stride` elements, the
// first row begins half a stride before the first bin.
struct SpectrumIn {
    const float *spectrum; // as of Analyze
    const float *moments;  // [B][2]: mean and deviation
    void *grid;            // T
    Layout to;             // rows = bins / stride + 1, tokens = frames; places are multiples of 4
    int32_t batch, bins, stride;
};

// Samples, normalised, to the input of the time branch.
struct SamplesIn {
    const float *mix;      // [B][2][samples]
    const float *moments;  // [B][2]: mean and deviation
    void *line;            // T
    Layout to;             // rows = 1, tokens = samples; places are even
    int32_t batch, samples;
};

// Inverse transform of the frames of every source, both channels at once.
struct Synthesize {
    const float *grid;     // a token has 4 elements of each source: left re, im, right re, im
    Layout from;           // rows = bins = nfft / 2, tokens = frames; places are multiples of 4
    const float *moments;  // [B][2]: mean and deviation
    const float *window;   // [nfft]: that of Analyze / 1.5, to which the squares of four windows add up
    const float *twiddles; // as of Analyze
    float *frames;         // [B][sources][frames][nfft][2]: left and right, windowed
    int32_t batch, sources, nfft;
};

// The time branch and the frames over it, added up in their order. What frames lack near both ends stays away.
struct Overlap {
    const float *frames;   // as of Synthesize
    const float *line;     // a token has 2 elements of each source
    Layout from;           // rows = 1, tokens = samples; places are even
    const float *moments;  // [B][2] of the samples: mean and deviation
    float *output;         // [B][sources][2][samples]
    int32_t batch, sources, samples, frame_count, nfft;
};
