// Sums, maxima and minima along an axis that is not the contiguous one, by blocks of 64: mirror of
// `by_blocks` in src/reference/reduce.rs. Included by families that work on columns.
//
// A thread block owns 32 columns (threadIdx.x) and takes `blockDim.y` blocks of 64 rows at a time,
// one per threadIdx.y; their totals are then joined in order.
#pragma once

#include "lanes.cuh"

#define BLOCK_ROWS 64
// Most thread rows of a thread block.
#define MOST_BLOCKS 16

// Joins `at(i, v)`, K values each, over `first <= i < last` in order, from the identity. Loads of
// sixteen rows are under way together.
template <class Op, int K, class At>
__device__ __forceinline__ void join_rows(u64 first, u64 last, float (&total)[K], At at) {
#pragma unroll
    for (int k = 0; k < K; ++k) total[k] = Op::identity();
    u64 i = first;
    for (; i + 16 <= last; i += 16) {
        float v[16][K];
#pragma unroll
        for (int j = 0; j < 16; ++j) at(i + j, v[j]);
#pragma unroll
        for (int j = 0; j < 16; ++j)
#pragma unroll
            for (int k = 0; k < K; ++k) total[k] = Op::join(total[k], v[j][k]);
    }
    for (; i < last; ++i) {
        float v[K];
        at(i, v);
#pragma unroll
        for (int k = 0; k < K; ++k) total[k] = Op::join(total[k], v[k]);
    }
}

// Shared memory of `by_blocks`.
template <int K>
struct Totals {
    float of[MOST_BLOCKS][K][33];
};

// Joins `at(i, v)` over n rows of this thread's column, by blocks; all threads of the column get the
// result. Every thread of the block must call it; `live` says whether its column exists.
template <class Op, int K, class At>
__device__ __forceinline__ void by_blocks(u64 n, bool live, Totals<K> &shared, float (&total)[K], At at) {
    const u64 blocks = (n + BLOCK_ROWS - 1) / BLOCK_ROWS;
#pragma unroll
    for (int k = 0; k < K; ++k) total[k] = Op::identity();
    for (u64 round = 0; round < blocks; round += blockDim.y) {
        const u64 first = (round + threadIdx.y) * BLOCK_ROWS;
        if (live && first < n) {
            float mine[K];
            join_rows<Op, K>(first, first + BLOCK_ROWS < n ? first + BLOCK_ROWS : n, mine, at);
#pragma unroll
            for (int k = 0; k < K; ++k) shared.of[threadIdx.y][k][threadIdx.x] = mine[k];
        }
        __syncthreads();
        const u32 here = blocks - round < blockDim.y ? (u32)(blocks - round) : blockDim.y;
        if (live)
            for (u32 b = 0; b < here; ++b)
#pragma unroll
                for (int k = 0; k < K; ++k) {
                    const float v = shared.of[b][k][threadIdx.x];
                    total[k] = round + b == 0 ? v : Op::join(total[k], v);
                }
        __syncthreads();
    }
}
