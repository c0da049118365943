#include "cuda.hpp"
#include "letterbox.cu"

extern "C" void run_letterbox(const Batch* batch, int frames, float* images, float* letterboxes,
                              int height, int width, float fill) {
    launch({width, height, frames}, 1,
           [&] { letterbox(*batch, images, letterboxes, height, width, fill); });
}
