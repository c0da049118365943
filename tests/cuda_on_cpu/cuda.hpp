// Enough of CUDA to run a kernel on a CPU: blocks one after the other, each thread of a block in a
// thread of its own where the kernel has barriers.
#include <algorithm>
#include <barrier>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

#define __global__
#define __device__
#define __shared__ static

struct dim3 {
    int x = 1, y = 1, z = 1;
};

static thread_local dim3 threadIdx, blockIdx;
static dim3 blockDim;
static std::barrier<>* block_barrier;

using std::isfinite;
using std::min;

static void __syncthreads() { block_barrier->arrive_and_wait(); }

static unsigned __float_as_uint(float value) {
    unsigned bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}

template <class Integer>
static Integer atomicAdd(Integer* address, Integer value) {
    return __atomic_fetch_add(address, value, __ATOMIC_SEQ_CST);
}

// `kernel` is called for each thread of each block of `grid`; blocks have `threads` threads.
template <class Kernel>
static void launch(dim3 grid, int threads, Kernel kernel) {
    std::barrier<> barrier(threads);
    block_barrier = &barrier;
    blockDim = {threads, 1, 1};
    auto run = [&](int thread) {
        threadIdx = {thread, 0, 0};
        for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z)
            for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y)
                for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) {
                    kernel();
                    if (threads > 1) barrier.arrive_and_wait();
                }
    };
    std::vector<std::thread> others;
    for (int thread = 1; thread < threads; ++thread) others.emplace_back(run, thread);
    run(0);
    for (auto& other : others) other.join();
}
