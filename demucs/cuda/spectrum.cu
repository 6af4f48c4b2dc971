// The way from samples into both branches and back. The transforms take the left channel as the real and the right one as
// the imaginary part of one signal.
#include "elements.cuh"
#include "fourier.cuh"
#include "totals.cuh"

namespace spectrum {

using fourier::place;
using fourier::THREADS;

// Where the first sample of a frame lies.
DEVICE int origin(int frame, int hop) { return frame * hop - hop / 2 * 3; }

// The sample that a position before the first or behind the last one reflects.
DEVICE int reflect(int position, int samples) {
    const int folded = position < 0 ? -position : position, last = samples - 1;
    return folded > last ? 2 * last - folded : folded;
}

DEVICE float normalize(float value, const float *moments) { return (value - moments[0]) / (moments[1] + 1e-5f); }
DEVICE float restore(float value, const float *moments) { return value * moments[1] + moments[0]; }

template <class T> DEVICE void bins_in(const SpectrumIn &args) {
    const int frames = args.to.tokens, i = blockIdx.x * THREADS + threadIdx.x, row = blockIdx.y, segment = blockIdx.z;
    const int frame = i / args.stride, j = i % args.stride, bin = row * args.stride + j - args.stride / 2;
    if (frame >= frames) return;
    float values[4] = {0, 0, 0, 0};
    if (bin >= 0 && bin < args.bins) {
        load(values, args.spectrum + ((static_cast<int64_t>(segment) * frames + frame) * args.bins + bin) * 4);
        UNROLL for (int c = 0; c < 4; c++) values[c] = normalize(values[c], args.moments + segment * 2);
    }
    const Layout &to = args.to;
    store(static_cast<T *>(args.grid) + to.start + segment * to.batch + row * to.row + frame * to.token + j * 4, values);
}

template <class T> DEVICE void samples_in(const SamplesIn &args) {
    const int sample = blockIdx.x * THREADS + threadIdx.x, segment = blockIdx.y;
    if (sample >= args.samples) return;
    const float *mix = args.mix + static_cast<int64_t>(segment) * 2 * args.samples + sample;
    const float *moments = args.moments + segment * 2;
    const Layout &to = args.to;
    store(static_cast<T *>(args.line) + to.start + segment * to.batch + sample * to.token,
          {normalize(mix[0], moments), normalize(mix[args.samples], moments)});
}

} // namespace spectrum

// Grid: frames, B. Shared memory: 8 * nfft bytes.
KERNEL(analyze, Analyze, fourier::THREADS, fourier::BLOCKS) {
    using namespace spectrum;
    const int n = args.nfft, bits = fourier::logarithm(n), samples = args.samples, frame = blockIdx.x, segment = blockIdx.y;
    float2 *values = reinterpret_cast<float2 *>(shared_memory());
    const float *left = args.mix + static_cast<int64_t>(segment) * 2 * samples, *right = left + samples;
    UNROLL_BY(4) for (int i = threadIdx.x; i < n; i += THREADS) {
        const int sample = reflect(origin(frame, n / 4) + i, samples);
        const float window = args.window[i];
        values[place(fourier::reversed(i, bits))] = make_float2(left[sample] * window, right[sample] * window);
    }
    fourier::transform(values, reinterpret_cast<const float2 *>(args.twiddles), bits);

    // What the two channels have in common with their mirror image tells them apart.
    const int64_t index = static_cast<int64_t>(segment) * args.frames + frame;
    float4 *spectrum = reinterpret_cast<float4 *>(args.spectrum) + index * (n / 2);
    Totals totals;
    for (int bin = threadIdx.x; bin < n / 2; bin += THREADS) {
        const float2 a = values[place(bin)], b = values[place((n - bin) & (n - 1))];
        const float4 value =
            make_float4(0.5f * (a.x + b.x), 0.5f * (a.y - b.y), 0.5f * (a.y + b.y), 0.5f * (b.x - a.x));
        spectrum[bin] = value;
        totals.add(value.x), totals.add(value.y), totals.add(value.z), totals.add(value.w);
    }
    sync();
    totals.gather<THREADS>(reinterpret_cast<double *>(values));
    if (threadIdx.x == 0) totals.store(args.partials + index * 2);
}

// Grid: frames * stride / 256, rounded up; rows; B.
KERNEL(spectrum_in_f16, SpectrumIn, fourier::THREADS) { spectrum::bins_in<half>(args); }
KERNEL(spectrum_in_f32, SpectrumIn, fourier::THREADS) { spectrum::bins_in<float>(args); }

// Grid: samples / 256, rounded up; B.
KERNEL(samples_in_f16, SamplesIn, fourier::THREADS) { spectrum::samples_in<half>(args); }
KERNEL(samples_in_f32, SamplesIn, fourier::THREADS) { spectrum::samples_in<float>(args); }

// Grid: sources, frames, B: sources of a frame, which lie together, are read at about the same time. Shared memory:
// 8 * nfft bytes.
KERNEL(synthesize, Synthesize, fourier::THREADS, fourier::BLOCKS) {
    using namespace spectrum;
    const int n = args.nfft, bits = fourier::logarithm(n), source = blockIdx.x, frame = blockIdx.y, segment = blockIdx.z;
    const float *moments = args.moments + segment * 2;
    const Layout &from = args.from;
    const float *token = args.grid + from.start + segment * from.batch + frame * from.token + source * 4;
    float2 *values = reinterpret_cast<float2 *>(shared_memory());
    UNROLL_BY(4) for (int bin = threadIdx.x; bin < n / 2; bin += THREADS) {
        float value[4];
        load(value, token + bin * from.row);
        UNROLL for (int c = 0; c < 4; c++) value[c] = restore(value[c], moments);
        // Of real signals the lowest bin has no imaginary part, and the highest one is left out. Both parts of each value
        // change places for the inverse.
        float2 image = make_float2(0, 0);
        if (bin == 0)
            value[1] = value[3] = 0;
        else
            image = make_float2(value[2] - value[1], value[0] + value[3]);
        values[place(fourier::reversed(bin, bits))] = make_float2(value[1] + value[2], value[0] - value[3]);
        values[place(fourier::reversed(bin == 0 ? n / 2 : n - bin, bits))] = image;
    }
    fourier::transform(values, reinterpret_cast<const float2 *>(args.twiddles), bits);
    const int64_t index = (static_cast<int64_t>(segment) * args.sources + source) * from.tokens + frame;
    float2 *out = reinterpret_cast<float2 *>(args.frames) + index * n;
    for (int i = threadIdx.x; i < n; i += THREADS) {
        const float2 value = values[place(i)];
        out[i] = make_float2(value.y * args.window[i], value.x * args.window[i]);
    }
}

// Grid: samples / 256, rounded up; B.
KERNEL(overlap, Overlap, fourier::THREADS) {
    using namespace spectrum;
    const int n = args.nfft, hop = n / 4, sample = blockIdx.x * THREADS + threadIdx.x, segment = blockIdx.y;
    if (sample >= args.samples) return;
    const Layout &from = args.from;
    const float *moments = args.moments + segment * 2;
    const float *token = args.line + from.start + segment * from.batch + sample * from.token;
    const int last = (sample - origin(0, hop)) / hop;
    for (int source = 0; source < args.sources; source++) {
        const int64_t index = static_cast<int64_t>(segment) * args.sources + source;
        float left = restore(token[source * 2], moments), right = restore(token[source * 2 + 1], moments);
        UNROLL for (int i = 3; i >= 0; i--) {
            const int frame = last - i;
            if (frame < 0 || frame >= args.frame_count) continue;
            const int64_t place = (index * args.frame_count + frame) * n + sample - origin(frame, hop);
            const float2 value = reinterpret_cast<const float2 *>(args.frames)[place];
            left += value.x;
            right += value.y;
        }
        float *output = args.output + index * 2 * args.samples + sample;
        output[0] = left;
        output[args.samples] = right;
    }
}
