// Non-maximum suppression of a batch, with the same result as `nms.py` on the CPU.
//
// There are two kernels. `collect` collects the rows above the threshold, of all frames at once.
// `suppress` sorts and suppresses them, with one block per frame. Rows of equal score keep their
// order in the tensor.

typedef unsigned long long Key;  // high bits: score; low bits: row. Unique; a higher key is better.

#define FULL 0xffffffffu
#define ROW_VALUES 6

struct Batch {
    const float* predictions[MAX_BATCH];    // [rows, 6]: x1, y1, x2, y2, confidence, class id
    const float* letterboxes[MAX_BATCH];    // [6]: left, top, width, height; the frame's digest
};

struct Thresholds {
    float confidence, iou;
    int max_detections, class_agnostic;
};

// Maps a float to an integer with the same order.
static __device__ unsigned ordered(float value) {
    const unsigned bits = __float_as_uint(value);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

static __device__ int row_of(Key key) { return (int)(FULL - (unsigned)key); }

// keys: [batch, rows], written in any order; counts: [batch], which must be zero before.
extern "C" __global__ void collect(const Batch batch, Thresholds thresholds, int rows, Key* keys,
                                   int* counts) {
    const int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    const float* values = batch.predictions[blockIdx.y] + (long)ROW_VALUES * row;
    const float score = values[4];
    if (!(score > thresholds.confidence)) return;
    for (int i = 0; i < ROW_VALUES; ++i)
        if (!isfinite(values[i])) return;
    const int slot = atomicAdd(&counts[blockIdx.y], 1);
    if (slot < rows) keys[(long)rows * blockIdx.y + slot] = (Key)ordered(score) << 32 | (FULL - (unsigned)row);
}

struct Box {
    float x1, y1, x2, y2, score, klass;
};

static __device__ Box box_at(const float* predictions, Key key) {
    const float* v = predictions + (long)ROW_VALUES * row_of(key);
    return {v[0], v[1], v[2], v[3], v[4], v[5]};
}

// Whether `better` suppresses `box`: IoU above `iou`, and the same class or `class_agnostic`. It
// computes in double precision and rounds like OpenCV, so that boxes near the threshold are treated
// alike. OpenCV treats boxes without an area as equal, even if their classes differ.
static __device__ bool suppressed_by(const Box& box, const Box& better, const Thresholds& thresholds) {
    const double width = (double)box.x2 - box.x1, height = (double)box.y2 - box.y1;
    const double other_width = (double)better.x2 - better.x1;
    const double other_height = (double)better.y2 - better.y1;
    const double areas = width * height + other_width * other_height;
    if (areas <= 2.220446049250313e-16) return 1.0f > thresholds.iou;  // DBL_EPSILON
    if (!thresholds.class_agnostic && (int)box.klass != (int)better.klass) return false;
    double common = 0.0;
    if (width > 0 && height > 0 && other_width > 0 && other_height > 0) {
        const double across = fmin((double)box.x2, (double)better.x2) - fmax(box.x1, better.x1);
        const double down = fmin((double)box.y2, (double)better.y2) - fmax(box.y1, better.y1);
        if (across > 0 && down > 0) common = across * down;
    }
    const double distance = 1.0 - common / (areas - common);
    return 1.0f - (float)distance > thresholds.iou;
}

// The shared memory of a block.
struct Shared {
    Key keys[CHUNK];
    Box boxes[CHUNK];
    Box kept[MAX_DETECTIONS];
    bool suppressed[CHUNK];
    int histogram[256];
    int count, digit, above;
    Key prefix;
};

// The `wanted`-th highest of the keys below `limit`, by radix select.
static __device__ Key nth_best(const Key* keys, int count, Key limit, int wanted, Shared& shared) {
    Key prefix = 0;
    for (int shift = 56; shift >= 0; shift -= 8) {
        for (int i = threadIdx.x; i < 256; i += THREADS) shared.histogram[i] = 0;
        __syncthreads();
        for (int i = threadIdx.x; i < count; i += THREADS) {
            const Key key = keys[i];
            const bool same = shift == 56 || key >> (shift + 8) == prefix >> (shift + 8);
            if (key < limit && same) atomicAdd(&shared.histogram[key >> shift & 255], 1);
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            int digit = 255, above = 0;
            while (above + shared.histogram[digit] < wanted) above += shared.histogram[digit--];
            shared.prefix = prefix | (Key)digit << shift;
            shared.above = above;
        }
        __syncthreads();
        prefix = shared.prefix;
        wanted -= shared.above;
    }
    return prefix;
}

// Sort the keys in [least, limit) into `shared`, highest first; returns their number.
static __device__ int sort_chunk(const Key* keys, int count, Key least, Key limit, Shared& shared) {
    if (threadIdx.x == 0) shared.count = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < count; i += THREADS)
        if (keys[i] >= least && keys[i] < limit) shared.keys[atomicAdd(&shared.count, 1)] = keys[i];
    __syncthreads();
    const int found = shared.count;
    int size = 1;
    while (size < found) size *= 2;
    for (int i = found + threadIdx.x; i < size; i += THREADS) shared.keys[i] = 0;
    // Bitonic sort; `size` is a power of two.
    for (int run = 2; run <= size; run *= 2) {
        for (int step = run / 2; step > 0; step /= 2) {
            __syncthreads();
            for (int i = threadIdx.x; i < size; i += THREADS) {
                const int partner = i ^ step;
                if (partner <= i) continue;
                const Key a = shared.keys[i], b = shared.keys[partner];
                if ((a < b) == ((i & run) == 0)) {
                    shared.keys[i] = b;
                    shared.keys[partner] = a;
                }
            }
        }
    }
    __syncthreads();
    return found;
}

// Append the boxes of a sorted chunk that are not suppressed to `shared.kept`; returns the new
// number of kept boxes.
static __device__ int suppress_chunk(const float* predictions, int found, int kept,
                              const Thresholds& thresholds, Shared& shared) {
    for (int i = threadIdx.x; i < found; i += THREADS) {
        const Box box = box_at(predictions, shared.keys[i]);
        bool suppressed = false;
        for (int j = 0; j < kept && !suppressed; ++j)
            suppressed = suppressed_by(box, shared.kept[j], thresholds);
        shared.boxes[i] = box;
        shared.suppressed[i] = suppressed;
    }
    __syncthreads();
    for (int best = 0; best < found && kept < thresholds.max_detections; ++best) {
        if (shared.suppressed[best]) continue;  // the same for all threads
        const Box better = shared.boxes[best];
        if (threadIdx.x == 0) shared.kept[kept] = better;
        ++kept;
        for (int i = best + 1 + threadIdx.x; i < found; i += THREADS)
            if (!shared.suppressed[i] && suppressed_by(shared.boxes[i], better, thresholds))
                shared.suppressed[i] = true;
        __syncthreads();
    }
    __syncthreads();
    return kept;
}

static __device__ float clipped(float value) { return fminf(fmaxf(value, 0.0f), 1.0f); }

// Writes the outputs of `nms/config.pbtxt`, [batch, ...] each, to host memory. Unused rows are zero.
// It also sets `counts` back to zero.
extern "C" __global__ void suppress(const Batch batch, Thresholds thresholds, int rows,
                                    const Key* keys, int* counts, float* num_detections,
                                    float* boxes, float* scores, float* classes,
                                    float* digests) {
    __shared__ Shared shared;
    const int frame = blockIdx.x;
    const float* predictions = batch.predictions[frame];
    const float* content_rect = batch.letterboxes[frame];
    const int count = counts[frame] < rows ? counts[frame] : rows;
    keys += (long)rows * frame;

    // A row is only suppressed by rows with higher scores, so chunks can be processed in order.
    int kept = 0;
    Key limit = ~(Key)0;
    for (int done = 0; done < count && kept < thresholds.max_detections;) {
        const int wanted = count - done < CHUNK ? count - done : CHUNK;
        const Key least = done + wanted == count ? 0 : nth_best(keys, count, limit, wanted, shared);
        const int found = sort_chunk(keys, count, least, limit, shared);
        kept = suppress_chunk(predictions, found, kept, thresholds, shared);
        done += found;
        limit = least;
    }

    const int max_detections = thresholds.max_detections;
    for (int i = threadIdx.x; i < max_detections; i += THREADS) {
        const Box box = i < kept ? shared.kept[i] : Box{};
        float* out = boxes + 4L * (max_detections * frame + i);
        out[0] = i < kept ? clipped((box.y1 - content_rect[1]) / content_rect[3]) : 0.0f;
        out[1] = i < kept ? clipped((box.x1 - content_rect[0]) / content_rect[2]) : 0.0f;
        out[2] = i < kept ? clipped((box.y2 - content_rect[1]) / content_rect[3]) : 0.0f;
        out[3] = i < kept ? clipped((box.x2 - content_rect[0]) / content_rect[2]) : 0.0f;
        scores[max_detections * frame + i] = box.score;
        classes[max_detections * frame + i] = box.klass;
    }
    if (threadIdx.x == 0) {
        num_detections[frame] = (float)kept;
        for (int half = 0; half < 2; ++half) digests[2 * frame + half] = content_rect[4 + half];
        counts[frame] = 0;
    }
}
