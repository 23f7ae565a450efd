// Sums, maxima and minima by lanes, the order for values side by side: mirror of `by_lanes` in
// src/reference/reduce.rs. Included by families that work on rows.
//
// A team of threads owns a row: some lanes of a warp (rows of up to 32), a warp (8 lanes of the sum
// per thread), or a block of 256 (a lane each). Thread t of a team of T holds elements t, t + T,
// t + 2T, ...; they belong to lanes t, t + T, ..., modulo 256.
//
// A row shorter than 256 is joined as if it had 256 lanes: an empty lane holds the identity, and
// joining the identity to a lane changes no bit, because a sum that starts at +0 is never -0.
#pragma once

#include "common.cuh"

struct Sum {
    static __device__ __forceinline__ float identity() { return 0.0f; }
    static __device__ __forceinline__ float join(float a, float b) { return __fadd_rn(a, b); }
};
// Of equal values the first stays; NaN wins.
struct Max {
    static __device__ __forceinline__ float identity() { return float_of(0xff800000u); }
    static __device__ __forceinline__ float join(float a, float b) { return b > a || is_nan(b) ? b : a; }
};
struct Min {
    static __device__ __forceinline__ float identity() { return float_of(0x7f800000u); }
    static __device__ __forceinline__ float join(float a, float b) { return b < a || is_nan(b) ? b : a; }
};

// Joins lanes `width / 2 ..` of each group of `width` threads to those before, and so on; the first
// thread's result goes to all.
template <class Op>
__device__ __forceinline__ float join_threads(float v, u32 width) {
    for (u32 s = width / 2; s > 0; s /= 2) v = Op::join(v, __shfl_down_sync(0xffffffffu, v, s, width));
    return __shfl_sync(0xffffffffu, v, 0, width);
}

// `width` threads of a warp, a power of two, at least the row's length. All threads of a warp stay
// together: those past the last row go through row 0 once more and write nothing.
struct SomeLanes {
    enum { LANES = 1 };
    u32 width, thread;
    u64 row, rows, step;
    __device__ __forceinline__ SomeLanes(u64 rows, u32 width)
        : width(width), thread(threadIdx.x % width), row(grid_index() / width), rows(rows),
          step(grid_threads() / width) {}
    // Whether any team of this warp has a row left.
    __device__ __forceinline__ bool more() const { return row - threadIdx.x % 32 / width < rows; }
    __device__ __forceinline__ bool live() const { return row < rows; }
    __device__ __forceinline__ u64 index() const { return row < rows ? row : 0; }
    __device__ __forceinline__ u32 threads() const { return width; }
    template <class Op>
    __device__ __forceinline__ float join(const float (&lane)[1]) {
        return join_threads<Op>(lane[0], width);
    }
};

// A warp.
struct Warp {
    enum { LANES = 8 };
    u32 thread;
    u64 row, rows, step;
    __device__ __forceinline__ Warp(u64 rows)
        : thread(threadIdx.x % 32), row(grid_index() / 32), rows(rows), step(grid_threads() / 32) {}
    __device__ __forceinline__ bool more() const { return row < rows; }
    __device__ __forceinline__ bool live() const { return true; }
    __device__ __forceinline__ u64 index() const { return row; }
    __device__ __forceinline__ u32 threads() const { return 32; }
    template <class Op>
    __device__ __forceinline__ float join(const float (&lane)[8]) {
        // Thread t holds lanes t, t + 32, ...: halving down to 32 lanes stays in the thread.
        const float a = Op::join(lane[0], lane[4]), b = Op::join(lane[1], lane[5]);
        const float c = Op::join(lane[2], lane[6]), d = Op::join(lane[3], lane[7]);
        return join_threads<Op>(Op::join(Op::join(a, c), Op::join(b, d)), 32);
    }
};

// A block of 256 threads. `shared` holds 512 floats: two sets of lanes in turn, so that one barrier
// per sum is enough.
struct Block {
    enum { LANES = 1 };
    u32 thread, turn;
    u64 row, rows, step;
    float *shared;
    __device__ __forceinline__ Block(u64 rows, float *shared)
        : thread(threadIdx.x), turn(0), row(blockIdx.x), rows(rows), step(gridDim.x), shared(shared) {}
    __device__ __forceinline__ bool more() const { return row < rows; }
    __device__ __forceinline__ bool live() const { return true; }
    __device__ __forceinline__ u64 index() const { return row; }
    __device__ __forceinline__ u32 threads() const { return 256; }
    template <class Op>
    __device__ __forceinline__ float join(const float (&lane)[1]) {
        float *lanes = shared + turn;
        turn ^= 256;
        lanes[thread] = lane[0];
        __syncthreads();
        // Every warp joins all lanes for itself.
        const float *l = lanes + threadIdx.x % 32;
        const float a = Op::join(l[0], l[128]), b = Op::join(l[32], l[160]);
        const float c = Op::join(l[64], l[192]), d = Op::join(l[96], l[224]);
        return join_threads<Op>(Op::join(Op::join(a, c), Op::join(b, d)), 32);
    }
};

// Calls f(slot, i) for the elements i of this thread in ascending order; `slot` counts them. With
// V > 0 a thread has at most V elements and slots are known to the compiler (so that f may keep
// values in registers); with V = 0 it has any number.
template <int V, class Team, class F>
__device__ __forceinline__ void each_element(const Team &team, u32 n, F f) {
    if constexpr (V > 0) {
#pragma unroll
        for (int slot = 0; slot < V; ++slot) {
            const u32 i = team.thread + slot * team.threads();
            if (i < n) f(slot, i);
        }
    } else {
        u32 slot = 0;
        for (u64 i = team.thread; i < n; i += team.threads()) f((int)slot++, (u32)i);
    }
}

// Joins at(slot, i) over the row; all threads of the team get the result.
template <class Op, int V, class Team, class At>
__device__ __forceinline__ float by_lanes(Team &team, u32 n, At at) {
    float lane[Team::LANES];
#pragma unroll
    for (int l = 0; l < Team::LANES; ++l) lane[l] = Op::identity();
    if constexpr (V > 0) {
#pragma unroll
        for (int slot = 0; slot < V; ++slot) {
            const u32 i = team.thread + slot * team.threads();
            if (i < n) lane[slot % Team::LANES] = Op::join(lane[slot % Team::LANES], at(slot, i));
        }
    } else {
        // Eight values at a time: their loads are under way together.
        const u32 threads = team.threads();
        for (u64 first = team.thread; first < n; first += 8 * (u64)threads) {
            float v[8];
#pragma unroll
            for (int s = 0; s < 8; ++s)
                v[s] = first + (u64)s * threads < n ? at(0, (u32)(first + (u64)s * threads)) : 0.0f;
#pragma unroll
            for (int s = 0; s < 8; ++s)
                if (first + (u64)s * threads < n)
                    lane[s % Team::LANES] = Op::join(lane[s % Team::LANES], v[s]);
        }
    }
    return team.template join<Op>(lane);
}
