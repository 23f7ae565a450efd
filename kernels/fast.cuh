// How a block of the fast products ends: its totals, and those of the other parts of k, to the output.
#pragma once

#include "gemm.cuh"

// A tile of T::BM x T::BN sums, held by T::THREADS threads in QUADS groups of four, each of which T says
// (`quad`) and writes to its places among totals in shared memory, rows of TOTAL_STRIDE words (`lay`).
template <class T>
struct Totals {
    // To scratch, in the order of threads.
    static __device__ __forceinline__ void put(const T &tile, float *partial) {
#pragma unroll
        for (int n = 0; n < T::QUADS; ++n)
            *reinterpret_cast<float4 *>(partial + (n * T::THREADS + threadIdx.x) * 4) = tile.quad(n);
    }

    // To shared memory.
    static __device__ __forceinline__ void lay(const T &tile, float *totals) {
#pragma unroll
        for (int n = 0; n < T::QUADS; ++n) tile.lay(totals, n, tile.quad(n));
    }

    // All parts from scratch, added in order, to shared memory.
    static __device__ __forceinline__ void add_parts(const T &tile, float *totals, const float *partial, u32 parts) {
#pragma unroll 1
        for (u32 n = 0; n < T::QUADS; ++n) {
            const float *from = partial + (n * T::THREADS + threadIdx.x) * 4;
            float sum[4], next[4];
            read_fresh(sum, from);
#pragma unroll 4
            for (u32 part = 1; part < parts; ++part) {
                read_fresh(next, from + (u64)part * (T::BM * T::BN));
#pragma unroll
                for (int v = 0; v < 4; ++v) sum[v] = __fadd_rn(sum[v], next[v]);
            }
            tile.lay(totals, n, make_float4(sum[0], sum[1], sum[2], sum[3]));
        }
    }

    // The whole of it, for the block of `product` whose tile starts at a row and a column of the output.
    // Shared memory is free when all of the block have come here, and when it returns.
    static __device__ __forceinline__ void finish(
        const T &tile, const GemmParams &p, const float *bias, const float *residual, float *out, float *partial,
        u32 *arrivals, float *totals, u32 product, u32 first_row, u32 first_col) {
        bool writes = true;
        u32 parts = gridDim.y;
        u64 place = (u64)product * gridDim.x + blockIdx.x;
        float *left = partial + place * parts * (T::BM * T::BN);
        if (parts > 1) {
            put(tile, left + (u64)blockIdx.y * (T::BM * T::BN));
            writes = last_to_arrive(arrivals + place, parts);
        }
        __syncthreads();
        if (writes) {
            if (parts > 1)
                add_parts(tile, totals, left, parts);
            else
                lay(tile, totals);
            __syncthreads();
            u32 rows = min(p.m - first_row, (u32)T::BM), cols = min(p.n - first_col, (u32)T::BN);
            u64 corner = ((u64)product * p.m + first_row) * p.n + first_col;
#pragma unroll 1
            for (u32 e = threadIdx.x; e < T::BM * T::BN; e += T::THREADS) {
                u32 i = e / T::BN, j = e % T::BN;
                if (i >= rows || j >= cols) continue;
                u64 at = corner + (u64)i * p.n + j;
                out[at] = finished(p, bias, residual, totals[i * T::TOTAL_STRIDE + j], first_col + j, at);
            }
        }
        __syncthreads();
    }
};
