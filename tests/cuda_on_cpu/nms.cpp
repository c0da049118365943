#include "cuda.hpp"
#include "nms.cu"

extern "C" void run_nms(const Batch* batch, const Thresholds* thresholds, int frames, int rows,
                        Key* keys, int* counts, float* num_detections, float* boxes,
                        float* scores, float* classes, float* digests) {
    launch({rows, frames}, 1, [&] { collect(*batch, *thresholds, rows, keys, counts); });
    launch({frames}, THREADS, [&] {
        suppress(*batch, *thresholds, rows, keys, counts, num_detections, boxes, scores,
                 classes, digests);
    });
}
