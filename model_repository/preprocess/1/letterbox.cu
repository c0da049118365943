// Letterboxes a batch of frames of any sizes in one launch: resize, pad, scale to 0..1, planes.
//
// The bilinear interpolation uses the fixed-point arithmetic of OpenCV for bytes. So the pixels are
// the same whether a frame was downscaled by the client, the CPU stage or this kernel.

struct Frame {
    const unsigned char* pixels;  // [height, width, 3], RGB
    int height, width;
    int left, top, fitted_width, fitted_height;  // position in the image, in whole pixels
    float content_rect[4];                       // the same before rounding, for `letterboxes`
    int stride, samples;                         // distance and number of the digest's bytes
};

struct Batch {
    Frame frames[MAX_BATCH];
};

// The two source rows or columns of a target, and the weight of the second, in 2048ths.
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

// The weight of a sample in digest.py.
static __device__ unsigned weight(unsigned sample) {
    unsigned weight = (sample + 1) * 2654435761u;
    weight ^= weight >> 15;
    weight *= 2246822519u;
    return (weight ^ weight >> 13) | 1;
}

// Compute the digest of a frame as in digest.py, with all threads of one block.
static __device__ void write_digest(const Frame& frame, float* target) {
    __shared__ unsigned sum;
    const int thread = threadIdx.y * blockDim.x + threadIdx.x;
    const int threads = blockDim.x * blockDim.y;
    if (thread == 0) sum = 0;
    __syncthreads();
    unsigned part = 0;
    for (int sample = thread; sample < frame.samples; sample += threads)
        part += frame.pixels[(long)sample * frame.stride] * weight(sample);
    atomicAdd(&sum, part);
    __syncthreads();
    if (thread != 0) return;
    target[0] = (float)(sum & 0xffff);
    target[1] = (float)(sum >> 16);
}

// images: [batch, 3, height, width], RGB, 0..1.
// letterboxes: [batch, 6]: left, top, width, height; digest of the frame.
extern "C" __global__ void letterbox(const Batch batch, float* images, float* letterboxes,
                                     int height, int width, float fill) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    const int y = blockIdx.y * blockDim.y + threadIdx.y;
    const Frame& frame = batch.frames[blockIdx.z];
    if (y == 0 && x < 4) letterboxes[6 * blockIdx.z + x] = frame.content_rect[x];
    if (blockIdx.x == 0 && blockIdx.y == 0) write_digest(frame, letterboxes + 6 * blockIdx.z + 4);
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
