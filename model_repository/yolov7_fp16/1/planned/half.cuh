// What the kernels are written in. Without NVIDIA's compiler they are plain C++, which computes one
// thread after the other: that is how they are tested on a machine without a GPU.

typedef unsigned short Half;    // the bits of a float16
typedef unsigned char Float8;   // those of an e4m3, for moving and comparing only

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

// What a thread reads and writes at once.
struct alignas(16) Pack {
    unsigned words[4];
};
