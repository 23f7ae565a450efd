// Sparse times dense: out[i,j] = activation(sum_e values[e] b[indices[e], j] + bias[j]), e over the
// entries of row i of a matrix in compressed sparse rows; and the transpose of such a matrix.
// Mirror of src/reference/spmm.rs; params and buffers are those of src/kernel/spmm.rs.
//
// Buffers: indptr [rows + 1], indices and values of the entries, ascending within a row; b [k, n]
// through strides; bias [n]; out [m, n], contiguous.
// Order of sums: that of `gemm` without the terms of absent entries. Borders of chunks are multiples
// of 256 of the column index; the total of every chunk is added, also +0 of one without entries.
// targets: 70 80
#include "epilogue.cuh"
#include "tiles.cuh"

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

// ---- many rows: a chunk of b in shared memory ----
//
// A block takes STAGED_COLUMNS columns of a group of rows. It copies the rows of b of one chunk, then
// each half of a warp takes a row of the group and its entries of that chunk, four columns per lane.
// The entries lie in shared memory too, 16 at a time, so that all lanes read them at once.
// A block takes either one chunk (`parted`: totals go to scratch, and the last to arrive adds them in
// order) or all of them, with the rows' running totals in shared memory.
//
// Geometry: x = tiles of columns, y = groups of rows, z = chunks if parted.

#define STAGED_COLUMNS 64u
#define STAGED_THREADS 256u
// Entries of a row that are staged at once: one per lane of half a warp.
#define STAGED_ENTRIES 16u

// An entry: where its row of b begins among the staged ones, and its value.
struct __align__(8) Staged {
    u32 at;
    float value;
};

// First entry of [from, end) whose column is not below `column`.
__device__ __forceinline__ u32 first_at(const u32 *indices, u32 from, u32 end, u32 column) {
    while (from < end) {
        u32 middle = from + (end - from) / 2;
        if (indices[middle] < column)
            from = middle + 1;
        else
            end = middle;
    }
    return from;
}

KERNEL __launch_bounds__(STAGED_THREADS, 3) spmm_staged(
    const SpmmParams p, const u32 *__restrict__ indptr, const u32 *__restrict__ indices,
    const float *__restrict__ values, const float *__restrict__ b, const float *__restrict__ bias,
    float *__restrict__ out, float *__restrict__ partial, u32 *__restrict__ arrivals, u32 group,
    u32 pieces, u32 parted) {
    SHARED(float, staged);
    Staged *entries = reinterpret_cast<Staged *>(staged + K_CHUNK * STAGED_COLUMNS);
    u32 *next = reinterpret_cast<u32 *>(entries + STAGED_THREADS);
    u32 *ends = next + group;
    float *totals = reinterpret_cast<float *>(ends + group);
    u32 t = threadIdx.x, lane = t % 16, half = t / 16;
    const u32 halves = STAGED_THREADS / 16;
    Staged *mine = entries + half * STAGED_ENTRIES;
    u32 first_row = blockIdx.y * group, rows = min(p.m - first_row, group);
    u32 first_col = blockIdx.x * STAGED_COLUMNS, cols = min(p.n - first_col, STAGED_COLUMNS);
    u32 chunks = (p.k + K_CHUNK - 1) / K_CHUNK;
    u32 begin = parted ? blockIdx.z : 0, end = parted ? begin + 1 : chunks;
    const float *corner = b + p.b_offset + (i64)first_col * p.b_col;
    float *left = partial + ((u64)blockIdx.y * gridDim.x + blockIdx.x) * chunks * group * STAGED_COLUMNS;

    // Where each row's entries of the first chunk begin.
    for (u32 r = t; r < rows; r += STAGED_THREADS) {
        u32 from = indptr[(u64)p.indptr_offset + first_row + r], to = indptr[(u64)p.indptr_offset + first_row + r + 1];
        next[r] = ends[r] = begin == 0 ? from : first_at(indices, from, to, begin * K_CHUNK);
    }
    for (u32 chunk = begin; chunk < end; ++chunk) {
        // What is staged is no longer read.
        __syncthreads();
        u32 first_k = chunk * K_CHUNK, depth = min(p.k - first_k, K_CHUNK);
        if (pieces) {
            for (u32 e = t; e < depth * (STAGED_COLUMNS / 4); e += STAGED_THREADS) {
                u32 k = e / (STAGED_COLUMNS / 4), j = e % (STAGED_COLUMNS / 4) * 4;
                if (j < cols) copy_piece(staged + k * STAGED_COLUMNS + j, corner + (i64)(first_k + k) * p.b_row + j);
            }
        } else {
            for (u32 e = t; e < depth * STAGED_COLUMNS; e += STAGED_THREADS) {
                u32 k = e / STAGED_COLUMNS, j = e % STAGED_COLUMNS;
                if (j < cols)
                    copy_element(staged + e, corner + (i64)(first_k + k) * p.b_row + (i64)j * p.b_col);
            }
        }
        copies_end_group();
        // Meanwhile: where they end.
        for (u32 r = t; r < rows; r += STAGED_THREADS) {
            u32 to = indptr[(u64)p.indptr_offset + first_row + r + 1];
            u32 from = next[r] = ends[r];
            ends[r] = first_at(indices, from, to, first_k + depth);
        }
        copies_wait<0>();
        __syncthreads();
        // Both halves of a warp together, though one may have fewer entries, or no row.
        for (u32 r0 = half & ~1u; r0 < rows; r0 += halves) {
            u32 r = r0 + (half & 1);
            u32 e = r < rows ? next[r] : 0, stop = r < rows ? ends[r] : 0;
            u32 most = max(stop - e, __shfl_xor_sync(0xffffffffu, stop - e, 16));
            float chain[4] = {0.0f, 0.0f, 0.0f, 0.0f};
            for (u32 done = 0; done < most; done += STAGED_ENTRIES) {
                if (e + done + lane < stop) {
                    u32 index = indices[e + done + lane];
                    mine[lane].at = (index - first_k) * STAGED_COLUMNS;
                    mine[lane].value = values[e + done + lane];
                }
                __syncwarp();
                u32 count = e + done < stop ? min(stop - e - done, STAGED_ENTRIES) : 0;
#pragma unroll 4
                for (u32 s = 0; s < count; ++s) {
                    Staged entry = mine[s];
                    float4 x = *reinterpret_cast<const float4 *>(staged + entry.at + 4 * lane);
                    chain[0] = __fmaf_rn(entry.value, x.x, chain[0]);
                    chain[1] = __fmaf_rn(entry.value, x.y, chain[1]);
                    chain[2] = __fmaf_rn(entry.value, x.z, chain[2]);
                    chain[3] = __fmaf_rn(entry.value, x.w, chain[3]);
                }
                __syncwarp();
            }
            if (r >= rows) continue;
            float4 sum = make_float4(chain[0], chain[1], chain[2], chain[3]);
            float *to = totals + r * STAGED_COLUMNS + 4 * lane;
            if (parted) {
                to = left + ((u64)chunk * group + r) * STAGED_COLUMNS + 4 * lane;
            } else if (chunk != 0) {
                float4 before = *reinterpret_cast<const float4 *>(to);
                sum = make_float4(__fadd_rn(before.x, sum.x), __fadd_rn(before.y, sum.y), __fadd_rn(before.z, sum.z),
                                  __fadd_rn(before.w, sum.w));
            }
            *reinterpret_cast<float4 *>(to) = sum;
        }
    }
    if (parted && !last_to_arrive(arrivals + (u64)blockIdx.y * gridDim.x + blockIdx.x, gridDim.z)) return;
    __syncthreads();
    for (u32 e = t; e < rows * (STAGED_COLUMNS / 4); e += STAGED_THREADS) {
        u32 r = e / (STAGED_COLUMNS / 4), j = e % (STAGED_COLUMNS / 4) * 4;
        if (j >= cols) continue;
        float sum[4] = {0.0f, 0.0f, 0.0f, 0.0f}, other[4];
        if (parted) {
            read_fresh(sum, left + 4 * e);
#pragma unroll 4
            for (u32 c = 1; c < chunks; ++c) {
                read_fresh(other, left + (u64)c * group * STAGED_COLUMNS + 4 * e);
#pragma unroll
                for (int v = 0; v < 4; ++v) sum[v] = __fadd_rn(sum[v], other[v]);
            }
        } else if (chunks > 0) {
#pragma unroll
            for (int v = 0; v < 4; ++v) sum[v] = totals[4 * e + v];
        }
#pragma unroll 1
        for (u32 v = 0; v < 4 && j + v < cols; ++v) {
            float x = v == 0 ? sum[0] : v == 1 ? sum[1] : v == 2 ? sum[2] : sum[3];
            out[(u64)(first_row + r) * p.n + first_col + j + v] = finished(p, bias, x, first_col + j + v);
        }
    }
}
ENTRY(spmm_staged)

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
