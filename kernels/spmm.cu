// Sparse times dense: out[i,j] = activation(sum_e values[e] b[indices[e], j] + bias[j]), e over the
// entries of row i of a matrix in compressed sparse rows; and the transpose of such a matrix.
// Mirror of src/reference/spmm.rs; params and buffers are those of src/kernel/spmm.rs.
//
// Buffers: indptr [rows + 1], indices and values of the entries, ascending within a row; b [k, n]
// through strides; bias [n]; out [m, n], contiguous.
// Order of sums: that of `gemm` without the terms of absent entries. Borders of chunks are multiples
// of 256 of the column index; the total of every chunk is added, also +0 of one without entries.
#include "epilogue.cuh"

struct SpmmParams {
    u32 m;
    u32 n;
    u32 k;
    u32 indptr_offset;
    i32 b_row;
    i32 b_col;
    u32 b_offset;
    Epilogue epilogue;
};
static_assert(sizeof(SpmmParams) == 44, "kernel::spmm::SpmmParams");

struct TransposeParams {
    u32 rows;
    u32 cols;
    u32 indptr_offset;
};
static_assert(sizeof(TransposeParams) == 12, "kernel::spmm::TransposeParams");

// The running sums of V columns: the chain of the current chunk, and the totals before it.
template <int V>
struct Sums {
    float chain[V], total[V];
    u32 chunk;

    __device__ __forceinline__ Sums() : chunk(0) {
#pragma unroll
        for (int v = 0; v < V; ++v) chain[v] = total[v] = 0.0f;
    }
    // Closes the chunks before `next`.
    __device__ __forceinline__ void advance(u32 next) {
        for (; chunk < next; ++chunk)
#pragma unroll
            for (int v = 0; v < V; ++v) {
                total[v] = chunk == 0 ? chain[v] : __fadd_rn(total[v], chain[v]);
                chain[v] = 0.0f;
            }
    }
    __device__ __forceinline__ void add(float value, const float *row) {
#pragma unroll
        for (int v = 0; v < V; ++v) chain[v] = __fmaf_rn(value, row[v], chain[v]);
    }
};

__device__ __forceinline__ float finished(const SpmmParams &p, const float *bias, float sum, u32 j) {
    if (p.epilogue.bias) sum = __fadd_rn(sum, bias[(u64)p.epilogue.bias_offset + j]);
    return activate(p.epilogue, sum);
}

// A warp takes one row and 128 columns, four per lane: neighbours, read at once, or 32 apart.
#define ROW_COLUMNS 128u
// Entries whose rows of b are read before the first is used.
#define ROW_AHEAD 4

template <bool PIECES>
__device__ __forceinline__ void row_times_dense(
    const SpmmParams &p, const u32 *indptr, const u32 *indices, const float *values, const float *b,
    const float *bias, float *out) {
    u32 lane = threadIdx.x % 32, across = (p.n + ROW_COLUMNS - 1) / ROW_COLUMNS;
    u64 jobs = (u64)p.m * across, warps = grid_threads() / 32;
    for (u64 job = grid_index() / 32; job < jobs; job += warps) {
        // Rows fastest: warps that run together read the same columns of b.
        u32 i = (u32)(job % p.m), first = (u32)(job / p.m) * ROW_COLUMNS + (PIECES ? 4 * lane : lane);
        const u32 apart = PIECES ? 1 : 32;
        u32 e = indptr[(u64)p.indptr_offset + i], end = indptr[(u64)p.indptr_offset + i + 1];
        Sums<4> sums;
        const float *column = b + p.b_offset + (i64)first * p.b_col;
        for (; e < end; e += 32) {
            u32 count = min(end - e, 32u), index = 0;
            float value = 0.0f;
            if (lane < count) {
                index = indices[e + lane];
                value = values[e + lane];
            }
            for (u32 s = 0; s < count; s += ROW_AHEAD) {
                u32 at[ROW_AHEAD];
                float v[ROW_AHEAD], row[ROW_AHEAD][4];
#pragma unroll
                for (int t = 0; t < ROW_AHEAD; ++t) {
                    at[t] = __shfl_sync(0xffffffffu, index, (s + t) % 32);
                    v[t] = __shfl_sync(0xffffffffu, value, (s + t) % 32);
                    if (s + t >= count) continue;
                    const float *from = column + (i64)at[t] * p.b_row;
                    if (PIECES) {
                        if (first >= p.n) continue;
                        float4 x = *reinterpret_cast<const float4 *>(from);
                        row[t][0] = x.x, row[t][1] = x.y, row[t][2] = x.z, row[t][3] = x.w;
                    } else {
#pragma unroll
                        for (int c = 0; c < 4; ++c)
                            if (first + 32 * c < p.n) row[t][c] = from[(i64)(32 * c) * p.b_col];
                    }
                }
#pragma unroll
                for (int t = 0; t < ROW_AHEAD; ++t) {
                    if (s + t >= count) continue;
                    sums.advance(at[t] / K_CHUNK);
                    sums.add(v[t], row[t]);
                }
            }
        }
        sums.advance((p.k + K_CHUNK - 1) / K_CHUNK);
#pragma unroll
        for (int c = 0; c < 4; ++c) {
            u32 j = first + c * apart;
            if (j < p.n) out[(u64)i * p.n + j] = finished(p, bias, sums.total[c], j);
        }
    }
}

KERNEL __launch_bounds__(256) spmm_rows(
    const SpmmParams p, const u32 *__restrict__ indptr, const u32 *__restrict__ indices,
    const float *__restrict__ values, const float *__restrict__ b, const float *__restrict__ bias,
    float *__restrict__ out) {
    row_times_dense<false>(p, indptr, indices, values, b, bias, out);
}
ENTRY(spmm_rows)

// Rows of b lie at multiples of 16 bytes, and n is a multiple of 4.
KERNEL __launch_bounds__(256) spmm_rows_pieces(
    const SpmmParams p, const u32 *__restrict__ indptr, const u32 *__restrict__ indices,
    const float *__restrict__ values, const float *__restrict__ b, const float *__restrict__ bias,
    float *__restrict__ out) {
    row_times_dense<true>(p, indptr, indices, values, b, bias, out);
}
ENTRY(spmm_rows_pieces)

// ---- the transpose: a stable counting sort of the entries by column ----
//
// Rows are cut into groups, one block each. counts[group][column] holds first the entries of the
// group in the column, then how many earlier groups have, then where the group's next one goes.

KERNEL __launch_bounds__(256) spmm_count(
    const TransposeParams p, const u32 *__restrict__ indptr, const u32 *__restrict__ indices,
    u32 *__restrict__ counts, u32 rows_per_group) {
    u32 *mine = counts + (u64)blockIdx.x * p.cols;
    for (u32 c = threadIdx.x; c < p.cols; c += blockDim.x) mine[c] = 0;
    __syncthreads();
    u32 first = blockIdx.x * rows_per_group, last = min(first + rows_per_group, p.rows);
    u32 end = indptr[(u64)p.indptr_offset + last];
    for (u32 e = indptr[(u64)p.indptr_offset + first] + threadIdx.x; e < end; e += blockDim.x)
        atomicAdd(&mine[indices[e]], 1u);
}
ENTRY(spmm_count)

// Counts of a column to counts of earlier groups; totals[column] is that of all.
KERNEL __launch_bounds__(256) spmm_scan_groups(
    const TransposeParams p, u32 *__restrict__ counts, u32 *__restrict__ totals, u32 groups) {
    SWEEP(c, p.cols) {
        u32 before = 0;
        u32 *at = counts + c;
#pragma unroll 8
        for (u32 g = 0; g < groups; ++g, at += p.cols) {
            u32 here = *at;
            *at = before;
            before += here;
        }
        totals[c] = before;
    }
}
ENTRY(spmm_scan_groups)

// One block: where each column begins, and the number of entries at the end.
KERNEL __launch_bounds__(1024) spmm_scan_columns(
    const TransposeParams p, u32 *__restrict__ indptr_t, const u32 *__restrict__ totals) {
    SHARED(u32, warp_sums);
    u32 lane = threadIdx.x % 32, warp = threadIdx.x / 32, before = 0;
    for (u32 base = 0; base <= p.cols; base += blockDim.x) {
        u32 c = base + threadIdx.x, mine = c < p.cols ? totals[c] : 0, sum = mine;
        for (u32 d = 1; d < 32; d *= 2) {
            u32 other = __shfl_up_sync(0xffffffffu, sum, d);
            if (lane >= d) sum += other;
        }
        if (lane == 31) warp_sums[warp] = sum;
        __syncthreads();
        u32 earlier = before, all = before;
        for (u32 w = 0; w < blockDim.x / 32; ++w) {
            if (w == warp) earlier = all;
            all += warp_sums[w];
        }
        if (c <= p.cols) indptr_t[c] = earlier + sum - mine;
        before = all;
        __syncthreads();
    }
}
ENTRY(spmm_scan_columns)

KERNEL __launch_bounds__(256) spmm_place(
    const TransposeParams p, const u32 *__restrict__ indptr, const u32 *__restrict__ indices,
    const float *__restrict__ values, const u32 *__restrict__ indptr_t, u32 *__restrict__ indices_t,
    float *__restrict__ values_t, u32 *__restrict__ counts, u32 rows_per_group) {
    u32 *mine = counts + (u64)blockIdx.x * p.cols;
    u32 first = blockIdx.x * rows_per_group, last = min(first + rows_per_group, p.rows);
    for (u32 i = first; i < last; ++i) {
        u32 begin = indptr[(u64)p.indptr_offset + i], end = indptr[(u64)p.indptr_offset + i + 1];
        for (u32 e = begin + threadIdx.x; e < end; e += blockDim.x) {
            u32 c = indices[e], slot = indptr_t[c] + mine[c];
            // Entries of the same row and column, if there are any, keep their order.
            for (u32 before = e; before > begin && indices[before - 1] == c; --before) ++slot;
            indices_t[slot] = i;
            values_t[slot] = values[e];
        }
        __syncthreads();
        for (u32 e = begin + threadIdx.x; e < end; e += blockDim.x) atomicAdd(&mine[indices[e]], 1u);
        __syncthreads();
    }
}
ENTRY(spmm_place)
