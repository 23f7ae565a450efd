// What every kernel file includes first: types, the mirror of kernel::Layout, tests on bits, loops.
//
// The same source is compiled three ways: by NVRTC (device), by nvcc, and by a host compiler through
// host/cuda_host.h, which runs CUDA threads as fibers. Only NVRTC and nvcc define __CUDACC__; code
// that a host cannot compile (inline PTX, warp-group instructions) stands behind
// `#ifdef __CUDA_ARCH__` with plain C++ of the same effect beside it.
#pragma once

#ifndef __CUDACC__
#include "host/cuda_host.h"
#else
// Dynamic shared memory of a block as an array of T. Under the host shim: its arena.
#define SHARED(T, name)                                       \
    extern __shared__ __align__(128) unsigned char block_shared_bytes[]; \
    T *name = reinterpret_cast<T *>(block_shared_bytes)
// Names a kernel for the host shim: one line per __global__ function, at the end of its file.
#define ENTRY(name)
#endif

#define KERNEL extern "C" __global__ void

typedef unsigned int u32;
typedef int i32;
typedef unsigned long long u64;
typedef long long i64;

// Index of this thread in its grid, and the number of threads: `SWEEP(i, n)` visits 0..n with any grid.
__device__ __forceinline__ u64 grid_index() { return (u64)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ __forceinline__ u64 grid_threads() { return (u64)gridDim.x * blockDim.x; }
#define SWEEP(i, n) for (u64 i = grid_index(); i < (n); i += grid_threads())

__device__ __forceinline__ u32 bits_of(float x) { return __float_as_uint(x); }
__device__ __forceinline__ float float_of(u32 bits) { return __uint_as_float(bits); }
// NaN by its bits: no compiler folds it.
__device__ __forceinline__ bool is_nan(float x) { return (bits_of(x) & 0x7fffffffu) > 0x7f800000u; }

// kernel::Layout
#define MAX_RANK 6
struct Layout {
    u32 shape[MAX_RANK];
    i32 strides[MAX_RANK];
    u32 offset;
};
static_assert(sizeof(Layout) == 52, "kernel::Layout");

// Number of elements.
__device__ __forceinline__ u64 length(const Layout &a) {
    u64 n = 1;
#pragma unroll
    for (int d = 0; d < MAX_RANK; ++d) n *= a.shape[d];
    return n;
}

// Buffer index of element i in row-major order.
__device__ __forceinline__ i64 place(const Layout &a, u64 i) {
    i64 at = a.offset;
#pragma unroll
    for (int d = MAX_RANK - 1; d >= 0; --d) {
        u32 n = a.shape[d];
        // The same for all threads, so that axes of size 1 cost no division.
        if (n == 1) continue;
        u64 rest = i / n;
        at += (i64)(i - rest * n) * a.strides[d];
        i = rest;
    }
    return at;
}
