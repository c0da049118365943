#include "cuda.hpp"
#include "letterbox.cu"

extern "C" void run_letterbox(const Batch* batch, int frames, float* images, float* content_rects,
                              int height, int width, float fill) {
    launch({width, height, frames}, 1,
           [&] { letterbox(*batch, images, content_rects, height, width, fill); });
}
