// The kernels of a plan other than convolutions. The source that `decoder` writes follows this file.
// Maps are [pixels, pitch] packs of 16 bytes; a slice is a pointer to its first pack of the first
// pixel. Without NVIDIA's compiler this is plain C++ that computes one thread after the other; so it
// is tested on machines without a GPU.

typedef unsigned short Half;  // the bits of a float16

#ifdef __CUDACC__
#define KERNEL extern "C" __global__
#define DEVICE __device__ __forceinline__
#define EACH(index, count)                                                      \
    for (int index = blockIdx.x * blockDim.x + threadIdx.x; index < (count);    \
         index += gridDim.x * blockDim.x)
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif

static DEVICE float to_float(Half half) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
}

static DEVICE Half to_half(float value) {
    Half half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
    return half;
}
#else
#include <math.h>
#include <string.h>
#define KERNEL extern "C"
#define DEVICE inline
#define EACH(index, count) for (int index = 0; index < (count); ++index)

static inline float to_float(Half half) {
    _Float16 value;
    memcpy(&value, &half, sizeof value);
    return value;
}

static inline Half to_half(float value) {
    const _Float16 rounded = value;
    Half half;
    memcpy(&half, &rounded, sizeof half);
    return half;
}
#endif

#define HALVES 8

// What a thread reads and writes at once.
struct alignas(16) Pack {
    unsigned words[4];
};

union Values {
    Pack pack;
    Half halves[HALVES];
};

// An integer that has the order of the float16 with these bits, and its inverse.
static DEVICE Half ordered(Half bits) { return bits & 0x8000 ? ~bits : bits | 0x8000; }
static DEVICE Half unordered(Half key) { return key & 0x8000 ? key & 0x7fff : ~key; }

// float32 images [batch, channels, pixels] to maps of one pack a pixel.
KERNEL void convert(const float* images, Pack* target, int target_pitch, int channels, int pixels,
                    int count) {
    EACH(index, count) {
        const int pixel = index % pixels, image = index / pixels;
        Values result;
        for (int i = 0; i < HALVES; ++i) {
            const long place = ((long)image * channels + i) * pixels + pixel;
            result.halves[i] = i < channels ? to_half(images[place]) : 0;
        }
        target[(long)index * target_pitch] = result.pack;
    }
}

struct Window {
    int height, width, out_height, out_width, kernel, stride, pad;
};

KERNEL void pool(const Pack* source, int source_pitch, Pack* target, int target_pitch, int packs,
                 Window w, int count) {
    EACH(index, count) {
        const int pack = index % packs, pixel = index / packs;
        const int x = pixel % w.out_width, y = pixel / w.out_width % w.out_height;
        const int image = pixel / w.out_width / w.out_height;
        const int left = x * w.stride - w.pad, top = y * w.stride - w.pad;
        Half largest[HALVES] = {};
        for (int v = top < 0 ? 0 : top; v < top + w.kernel && v < w.height; ++v)
            for (int u = left < 0 ? 0 : left; u < left + w.kernel && u < w.width; ++u) {
                const long place = ((long)image * w.height + v) * w.width + u;
                Values seen;
                seen.pack = source[place * source_pitch + pack];
                _Pragma("unroll") for (int i = 0; i < HALVES; ++i) {
                    const Half key = ordered(seen.halves[i]);
                    if (key > largest[i]) largest[i] = key;
                }
            }
        Values result;
        _Pragma("unroll") for (int i = 0; i < HALVES; ++i) result.halves[i] = unordered(largest[i]);
        target[(long)pixel * target_pitch + pack] = result.pack;
    }
}

// Each pixel of [batch, height, width] `scale` times in both directions.
KERNEL void upsample(const Pack* source, int source_pitch, Pack* target, int target_pitch, int packs,
                     int height, int width, int scale, int count) {
    EACH(index, count) {
        const int pack = index % packs, pixel = index / packs;
        const int x = pixel % (width * scale), row = pixel / (width * scale);
        const int y = row % (height * scale), image = row / (height * scale);
        const long place = ((long)image * height + y / scale) * width + x / scale;
        target[(long)pixel * target_pitch + pack] = source[place * source_pitch + pack];
    }
}

KERNEL void add(const Pack* source, int source_pitch, const Pack* other, int other_pitch, Pack* target,
                int target_pitch, int packs, int count) {
    EACH(index, count) {
        const int pack = index % packs;
        const long pixel = index / packs;
        Values sum, second;
        sum.pack = source[pixel * source_pitch + pack];
        second.pack = other[pixel * other_pitch + pack];
        for (int i = 0; i < HALVES; ++i)
            sum.halves[i] = to_half(to_float(sum.halves[i]) + to_float(second.halves[i]));
        target[pixel * target_pitch + pack] = sum.pack;
    }
}
