// What `gemm` and `spmm` share: copies into shared memory that run ahead, and the hand-over of the
// chunks' totals from the blocks that computed them to the one that adds them.
#pragma once

#include "common.cuh"

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
__device__ __forceinline__ u32 shared_address(const float *p) { return (u32)__cvta_generic_to_shared(p); }
__device__ __forceinline__ void copy_element(float *to, const float *from) {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(shared_address(to)), "l"(from));
}
__device__ __forceinline__ void copy_piece(float *to, const float *from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)), "l"(from));
}
// Only the first `count` elements exist; the others become 0.
__device__ __forceinline__ void copy_part(float *to, const float *from, u32 count) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(4 * count));
}
__device__ __forceinline__ void copies_end_group() { asm volatile("cp.async.commit_group;"); }
// Waits until at most GROUPS groups are under way.
template <int GROUPS>
__device__ __forceinline__ void copies_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(GROUPS) : "memory");
}
#else
__device__ __forceinline__ void copy_element(float *to, const float *from) { *to = *from; }
__device__ __forceinline__ void copy_part(float *to, const float *from, u32 count) {
    for (u32 i = 0; i < count; ++i) to[i] = from[i];
}
__device__ __forceinline__ void copy_piece(float *to, const float *from) { copy_part(to, from, 4); }
__device__ __forceinline__ void copies_end_group() {}
template <int GROUPS>
__device__ __forceinline__ void copies_wait() {}
#endif

// For a block that has left its part of a result in memory: whether it is the last of `parts` to come
// here. All of it must call; `arrivals` is 0 again afterwards. What the others left is read with
// `read_fresh`.
__device__ __forceinline__ bool last_to_arrive(u32 *arrivals, u32 parts) {
    __shared__ u32 before;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        before = atomicAdd(arrivals, 1u);
        if (before + 1 == parts) *arrivals = 0;
    }
    __syncthreads();
    bool last = before + 1 == parts;
    __threadfence();
    return last;
}

// Four floats that other blocks of this launch may have written.
__device__ __forceinline__ void read_fresh(float *to, const float *from) {
#ifdef __CUDA_ARCH__
    asm volatile("ld.global.cg.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(to[0]), "=f"(to[1]), "=f"(to[2]), "=f"(to[3])
                 : "l"(from)
                 : "memory");
#else
    for (int v = 0; v < 4; ++v) to[v] = from[v];
#endif
}
