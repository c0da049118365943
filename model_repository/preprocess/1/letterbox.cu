// The letterbox of a whole batch in one launch: resize, pad, 0..1, planes. Frames may differ in size.
//
// Bilinear as OpenCV computes it for bytes, in fixed point, so that a pixel is the same wherever a
// frame was downscaled: by the client, by the CPU stage or here.

struct Frame {
    const unsigned char* pixels;  // [height, width, 3], RGB
    int height, width;
    int left, top, fitted_width, fitted_height;  // where it lies, in whole pixels
    float content_rect[4];                       // the same unrounded, for `content_rects`
};

struct Batch {
    Frame frames[MAX_BATCH];
};

// Two neighbors of a row or column, and how much the second counts, in 2048ths.
struct Neighbors {
    int first, second, weight;
};

static __device__ Neighbors neighbors(int target, int targets, int sources) {
    const double scale = 1.0 / ((double)targets / sources);
    float position = (float)((target + 0.5) * scale - 0.5);
    int first = (int)floorf(position);
    float fraction = position - first;
    if (first < 0) {
        first = 0;
        fraction = 0.0f;
    }
    if (first >= sources - 1) {
        first = sources - 1;
        fraction = 0.0f;
    }
    const int second = first + 1 < sources ? first + 1 : first;
    return {first, second, (int)rintf(fraction * 2048.0f)};
}

static __device__ int between(int a, int b, int weight) { return a * (2048 - weight) + b * weight; }

// images: [batch, 3, height, width], RGB, 0..1.
// content_rects: [batch, 4]: left, top, width, height.
extern "C" __global__ void letterbox(const Batch batch, float* images, float* content_rects,
                                     int height, int width, float fill) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    const Frame& frame = batch.frames[blockIdx.z];
    if (y == 0 && x < 4) content_rects[4 * blockIdx.z + x] = frame.content_rect[x];
    if (x >= width || y >= height) return;

    const long plane = (long)height * width;
    float* target = images + 3 * plane * blockIdx.z + (long)y * width + x;
    const int column = x - frame.left, row = y - frame.top;
    if (column < 0 || column >= frame.fitted_width || row < 0 || row >= frame.fitted_height) {
        for (int color = 0; color < 3; ++color) target[color * plane] = fill;
        return;
    }
    const Neighbors columns = neighbors(column, frame.fitted_width, frame.width);
    const Neighbors rows = neighbors(row, frame.fitted_height, frame.height);
    const unsigned char* upper = frame.pixels + 3L * rows.first * frame.width;
    const unsigned char* lower = frame.pixels + 3L * rows.second * frame.width;
    const int left = 3 * columns.first, right = 3 * columns.second;
    for (int color = 0; color < 3; ++color) {
        const int above = between(upper[left + color], upper[right + color], columns.weight);
        const int below = between(lower[left + color], lower[right + color], columns.weight);
        const int gray = ((((2048 - rows.weight) * (above >> 4)) >> 16) +
                          ((rows.weight * (below >> 4)) >> 16) + 2) >> 2;
        target[color * plane] = gray / 255.0f;
    }
}
