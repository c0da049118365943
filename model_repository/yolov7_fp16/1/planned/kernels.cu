// Everything but convolutions and decoding, after half.cuh. Maps are [pixels, pitch] packs of 16
// bytes; a slice is a pointer to its first pack in the first pixel.

#define HALVES 8

union Values {
    Pack pack;
    Half halves[HALVES];
    Float8 bytes[2 * HALVES];
};

// Bits as an integer that is ordered as the number is: all but the sign are, where it is positive.
static DEVICE Half ordered(Half bits) { return bits & 0x8000 ? ~bits : bits | 0x8000; }
static DEVICE Half unordered(Half key) { return key & 0x8000 ? key & 0x7fff : ~key; }
static DEVICE Float8 ordered(Float8 bits) { return bits & 0x80 ? ~bits : bits | 0x80; }
static DEVICE Float8 unordered(Float8 key) { return key & 0x80 ? key & 0x7f : ~key; }

struct Window {
    int height, width, out_height, out_width, kernel, stride, pad;
};

// `VALUES` of a pack are compared, each `TYPE`.
#define POOL(NAME, TYPE, MEMBER, VALUES)                                                           \
    KERNEL void NAME(const Pack* source, int source_pitch, Pack* target, int target_pitch,         \
                     int packs, Window w, int count) {                                             \
        EACH(index, count) {                                                                       \
            const int pack = index % packs, pixel = index / packs;                                 \
            const int x = pixel % w.out_width, y = pixel / w.out_width % w.out_height;             \
            const int image = pixel / w.out_width / w.out_height;                                  \
            const int left = x * w.stride - w.pad, top = y * w.stride - w.pad;                     \
            TYPE best[VALUES] = {};                                                                \
            for (int v = top < 0 ? 0 : top; v < top + w.kernel && v < w.height; ++v)               \
                for (int u = left < 0 ? 0 : left; u < left + w.kernel && u < w.width; ++u) {       \
                    Values seen;                                                                   \
                    const long place = ((long)image * w.height + v) * w.width + u;                 \
                    seen.pack = source[place * source_pitch + pack];                               \
                    _Pragma("unroll") for (int i = 0; i < VALUES; ++i) {                           \
                        const TYPE key = ordered(seen.MEMBER[i]);                                  \
                        if (key > best[i]) best[i] = key;                                          \
                    }                                                                              \
                }                                                                                  \
            Values found;                                                                          \
            _Pragma("unroll") for (int i = 0; i < VALUES; ++i)                                     \
                found.MEMBER[i] = unordered(best[i]);                                              \
            target[(long)pixel * target_pitch + pack] = found.pack;                                \
        }                                                                                          \
    }

POOL(pool_half, Half, halves, HALVES)
POOL(pool_float8, Float8, bytes, 2 * HALVES)

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

// Planes of float32 [batch, channels, pixels] to maps of at most a pack a pixel.
KERNEL void convert(const float* images, Pack* target, int target_pitch, int channels, int pixels,
                    int count) {
    EACH(index, count) {
        const int pixel = index % pixels, image = index / pixels;
        Values made;
        for (int i = 0; i < HALVES; ++i) {
            const long place = ((long)image * channels + i) * pixels + pixel;
            made.halves[i] = i < channels ? to_half(images[place]) : 0;
        }
        target[(long)index * target_pitch] = made.pack;
    }
}

KERNEL void add(const Pack* source, int source_pitch, const Pack* other, int other_pitch, Pack* target,
                int target_pitch, int packs, int count) {
    EACH(index, count) {
        const int pack = index % packs;
        const long pixel = index / packs;
        Values one, two;
        one.pack = source[pixel * source_pitch + pack];
        two.pack = other[pixel * other_pitch + pack];
        for (int i = 0; i < HALVES; ++i)
            one.halves[i] = to_half(to_float(one.halves[i]) + to_float(two.halves[i]));
        target[pixel * target_pitch + pack] = one.pack;
    }
}

// Activations, by the number that `runtime` gives.
static DEVICE float activated(float value, int kind, float slope) {
    switch (kind) {
        case 1: return value / (1.0f + expf(-value));
        case 2: return value > 0.0f ? value : value * slope;
        case 3: return value > 0.0f ? value : 0.0f;
        case 4: return 1.0f / (1.0f + expf(-value));
        default: return value;
    }
}

// Bias, activation and an added map (or null), for convolutions that cuDNN computes alone.
KERNEL void finish(const Pack* source, int source_pitch, Pack* target, int target_pitch,
                   const float* bias, int kind, float slope, const Pack* added, int added_pitch,
                   int packs, int count) {
    EACH(index, count) {
        const int pack = index % packs;
        const long pixel = index / packs;
        Values one, two;
        one.pack = source[pixel * source_pitch + pack];
        if (added) two.pack = added[pixel * added_pitch + pack];
        for (int i = 0; i < HALVES; ++i) {
            float value = to_float(one.halves[i]) + bias[pack * HALVES + i];
            value = activated(value, kind, slope);
            one.halves[i] = to_half(added ? value + to_float(two.halves[i]) : value);
        }
        target[pixel * target_pitch + pack] = one.pack;
    }
}
