// Sums, maxima, minima, their places, cumulative sums. Mirror of src/reference/reduce.rs; buffers and
// the orders of sums (lanes, blocks, everything) in src/kernel/reduce.rs.
//
// Launch: along x, any grid. `_short`, `_warp`, `_block` and `_relay` own a row with a part of a
// warp, a warp, a block of 256 and a block of 1024 threads; `_columns` a column with a thread;
// `_tile` 32 columns with a block of 32 x (blocks of 64 rows); `_partial` and `_join` cut very long
// columns over the grid. Cost: 4 bytes read and one operation per input element.
#include "columns.cuh"

struct LastParams {
    u32 op, offset, rows, n;
};
static_assert(sizeof(LastParams) == 16, "kernel::reduce::LastParams");
struct AxisParams {
    u32 op, offset, outer, n, inner;
};
static_assert(sizeof(AxisParams) == 20, "kernel::reduce::AxisParams");
struct AllParams {
    u32 op, offset, n;
};
static_assert(sizeof(AllParams) == 12, "kernel::reduce::AllParams");
struct ScanParams {
    u32 offset, outer, n, inner;
};
static_assert(sizeof(ScanParams) == 16, "kernel::reduce::ScanParams");

// kernel::reduce::Reduce
enum Reduce : u32 { REDUCE_SUM, REDUCE_MAX, REDUCE_MIN };

// The statement with `Op` as the operation of code `op`.
#define WITH_OP(op, ...)                                             \
    if (op == REDUCE_SUM) { using Op = Sum; __VA_ARGS__; }           \
    else if (op == REDUCE_MAX) { using Op = Max; __VA_ARGS__; }      \
    else { using Op = Min; __VA_ARGS__; }

// ---- rows ----

template <class Op, class Team>
__device__ __forceinline__ void reduce_rows(Team team, const float *x, u32 n, float *out) {
    for (; team.more(); team.row += team.step) {
        const float *row = x + team.index() * n;
        const float v = by_lanes<Op, 0>(team, n, [&](int, u32 i) { return row[i]; });
        if (team.thread == 0 && team.live()) out[team.row] = v;
    }
}

KERNEL reduce_last_short(const LastParams p, const float *__restrict__ x, float *__restrict__ out, u32 width) {
    WITH_OP(p.op, reduce_rows<Op>(SomeLanes(p.rows, width), x + p.offset, p.n, out))
}

KERNEL reduce_last_warp(const LastParams p, const float *__restrict__ x, float *__restrict__ out) {
    WITH_OP(p.op, reduce_rows<Op>(Warp(p.rows), x + p.offset, p.n, out))
}

KERNEL reduce_last_block(const LastParams p, const float *__restrict__ x, float *__restrict__ out) {
    __shared__ float shared[512];
    WITH_OP(p.op, reduce_rows<Op>(Block(p.rows, shared), x + p.offset, p.n, out))
}

// A block of 1024 threads per row, for few long rows: four groups of 256 lanes each hold 16 values
// per lane and hand the lanes' sums on in order, while the other groups' loads are under way.
template <class Op>
__device__ __forceinline__ float relay(const float *x, u64 n, float *carry) {
    const u32 group = threadIdx.x / 256, lane = threadIdx.x % 256;
    const u64 tile = 64 * 256;
    x += group * 16 * 256 + lane;
    const u64 mine = (u64)group * 16 * 256 + lane;
    float v[16];
#pragma unroll
    for (int j = 0; j < 16; ++j) v[j] = mine + j * 256 < n ? x[j * 256] : Op::identity();
    if (group == 0) carry[lane] = Op::identity();
    for (u64 first = 0; first < n; first += tile) {
        for (u32 turn = 0; turn < 4; ++turn) {
            if (turn == group) {
                float sum = carry[lane];
#pragma unroll
                for (int j = 0; j < 16; ++j)
                    if (first + mine + j * 256 < n) sum = Op::join(sum, v[j]);
                carry[lane] = sum;
                const u64 next = first + tile;
#pragma unroll
                for (int j = 0; j < 16; ++j)
                    v[j] = next + mine + j * 256 < n ? x[next + j * 256] : Op::identity();
            }
            __syncthreads();
        }
    }
    // For the case of no element at all.
    __syncthreads();
    const float *l = carry + threadIdx.x % 32;
    const float a = Op::join(l[0], l[128]), b = Op::join(l[32], l[160]);
    const float c = Op::join(l[64], l[192]), d = Op::join(l[96], l[224]);
    const float total = join_threads<Op>(Op::join(Op::join(a, c), Op::join(b, d)), 32);
    __syncthreads();
    return total;
}

KERNEL __launch_bounds__(1024)
    reduce_last_relay(const LastParams p, const float *__restrict__ x, float *__restrict__ out) {
    __shared__ float carry[256];
    WITH_OP(p.op, for (u64 r = blockIdx.x; r < p.rows; r += gridDim.x) {
        const float v = relay<Op>(x + p.offset + r * p.n, p.n, carry);
        if (threadIdx.x == 0) out[r] = v;
    })
}

// A segment of 65536 per block. `x` may be the params' input or the totals of the step before.
KERNEL __launch_bounds__(1024)
    reduce_all_segments(const AllParams p, const float *__restrict__ x, float *__restrict__ out, u32 offset,
                        u32 n) {
    __shared__ float carry[256];
    const u64 segment = 65536;
    const u64 segments = n == 0 ? 1 : (n + segment - 1) / segment;
    WITH_OP(p.op, for (u64 s = blockIdx.x; s < segments; s += gridDim.x) {
        const u64 left = n - s * segment;
        const float v = relay<Op>(x + offset + s * segment, left < segment ? left : segment, carry);
        if (threadIdx.x == 0) out[s] = v;
    })
}

// ---- columns ----

KERNEL reduce_axis_columns(const AxisParams p, const float *__restrict__ x, float *__restrict__ out) {
    const u64 columns = (u64)p.outer * p.inner;
    WITH_OP(p.op, SWEEP(c, columns) {
        const u64 o = c / p.inner;
        const float *column = x + p.offset + o * p.n * p.inner + (c - o * p.inner);
        float total = Op::identity();
        for (u64 first = 0; first < p.n; first += BLOCK_ROWS) {
            float block[1];
            const u64 last = first + BLOCK_ROWS < p.n ? first + BLOCK_ROWS : p.n;
            join_rows<Op, 1>(first, last, block, [&](u64 i, float *v) { v[0] = column[i * p.inner]; });
            total = first == 0 ? block[0] : Op::join(total, block[0]);
        }
        out[c] = total;
    })
}

KERNEL __launch_bounds__(32 * MOST_BLOCKS)
    reduce_axis_tile(const AxisParams p, const float *__restrict__ x, float *__restrict__ out) {
    __shared__ Totals<1> shared;
    const u32 across = (p.inner + 31) / 32;
    const u64 tiles = (u64)p.outer * across;
    WITH_OP(p.op, for (u64 t = blockIdx.x; t < tiles; t += gridDim.x) {
        const u64 o = t / across;
        const u32 k = (u32)(t - o * across) * 32 + threadIdx.x;
        const float *column = x + p.offset + o * p.n * p.inner + k;
        float total[1];
        by_blocks<Op, 1>(p.n, k < p.inner, shared, total, [&](u64 i, float *v) { v[0] = column[i * p.inner]; });
        if (k < p.inner && threadIdx.y == 0) out[o * p.inner + k] = total[0];
    })
}

// Totals of blocks of 64 rows: `totals[o, block, k]`.
KERNEL reduce_axis_partial(const AxisParams p, const float *__restrict__ x, float *__restrict__ totals) {
    const u64 blocks = ((u64)p.n + BLOCK_ROWS - 1) / BLOCK_ROWS;
    const u64 all = p.outer * blocks * p.inner;
    WITH_OP(p.op, SWEEP(t, all) {
        const u64 row = t / p.inner;
        const u64 o = row / blocks;
        const u64 first = (row - o * blocks) * BLOCK_ROWS;
        const float *column = x + p.offset + o * p.n * p.inner + (t - row * p.inner);
        float total[1];
        const u64 last = first + BLOCK_ROWS < p.n ? first + BLOCK_ROWS : p.n;
        join_rows<Op, 1>(first, last, total, [&](u64 i, float *v) { v[0] = column[i * p.inner]; });
        totals[t] = total[0];
    })
}

// Those totals in order, the first one as it is.
template <class Op>
__device__ __forceinline__ float join_totals(const float *column, u64 blocks, u32 inner) {
    float total = blocks == 0 ? Op::identity() : column[0];
    u64 b = 1;
    for (; b + 16 <= blocks; b += 16) {
        float v[16];
#pragma unroll
        for (int j = 0; j < 16; ++j) v[j] = column[(b + j) * inner];
#pragma unroll
        for (int j = 0; j < 16; ++j) total = Op::join(total, v[j]);
    }
    for (; b < blocks; ++b) total = Op::join(total, column[b * inner]);
    return total;
}

KERNEL reduce_axis_join(const AxisParams p, const float *__restrict__ totals, float *__restrict__ out) {
    const u64 blocks = ((u64)p.n + BLOCK_ROWS - 1) / BLOCK_ROWS;
    const u64 columns = (u64)p.outer * p.inner;
    WITH_OP(p.op, SWEEP(c, columns) {
        const u64 o = c / p.inner;
        out[c] = join_totals<Op>(totals + o * blocks * p.inner + (c - o * p.inner), blocks, p.inner);
    })
}

// ---- places ----

// Whether (b, at j) replaces (a, at i), whatever their order; an index of 2^32 - 1 is nothing.
__device__ __forceinline__ bool replaces(u32 op, float b, u32 j, float a, u32 i) {
    if (j == 0xffffffffu || i == 0xffffffffu) return j != 0xffffffffu;
    if (is_nan(a) || is_nan(b)) return is_nan(b) && (!is_nan(a) || j < i);
    if (b == a) return j < i;
    return op == 0 ? b > a : b < a;
}

// Contiguous rows: `width` threads each look through every width-th element.
KERNEL reduce_arg_rows(const AxisParams p, const float *__restrict__ x, u32 *__restrict__ out, u32 width) {
    SomeLanes team(p.outer, width);
    for (; team.more(); team.row += team.step) {
        const float *row = x + p.offset + team.index() * p.n;
        float best = 0.0f;
        u32 place = 0xffffffffu;
        for (u64 i = team.thread; i < p.n; i += width)
            if (replaces(p.op, row[i], (u32)i, best, place)) {
                best = row[i];
                place = (u32)i;
            }
        for (u32 s = width / 2; s > 0; s /= 2) {
            const float other = __shfl_down_sync(0xffffffffu, best, s, width);
            const u32 there = __shfl_down_sync(0xffffffffu, place, s, width);
            if (replaces(p.op, other, there, best, place)) {
                best = other;
                place = there;
            }
        }
        if (team.thread == 0 && team.live()) out[team.row] = p.n == 0 ? 0 : place;
    }
}

KERNEL reduce_arg_columns(const AxisParams p, const float *__restrict__ x, u32 *__restrict__ out) {
    const u64 columns = (u64)p.outer * p.inner;
    SWEEP(c, columns) {
        const u64 o = c / p.inner;
        const float *column = x + p.offset + o * p.n * p.inner + (c - o * p.inner);
        u32 place = 0;
        float best = p.n > 0 ? column[0] : 0.0f;
        for (u32 i = 1; i < p.n; ++i) {
            const float v = column[(u64)i * p.inner];
            if (replaces(p.op, v, i, best, place)) {
                best = v;
                place = i;
            }
        }
        out[c] = place;
    }
}

// ---- cumulative sums: a thread per column, because each sum needs the one before ----

KERNEL reduce_scan(const ScanParams p, const float *__restrict__ x, float *__restrict__ out) {
    const u64 columns = (u64)p.outer * p.inner;
    SWEEP(c, columns) {
        const u64 o = c / p.inner, at = o * p.n * p.inner + (c - o * p.inner);
        const float *from = x + p.offset + at;
        float *to = out + at;
        float sum = 0.0f;
        u64 i = 0;
        for (; i + 8 <= p.n; i += 8) {
            float v[8];
#pragma unroll
            for (int j = 0; j < 8; ++j) v[j] = from[(i + j) * p.inner];
#pragma unroll
            for (int j = 0; j < 8; ++j) {
                sum = i + j == 0 ? v[j] : __fadd_rn(sum, v[j]);
                to[(i + j) * p.inner] = sum;
            }
        }
        for (; i < p.n; ++i) {
            const float v = from[i * p.inner];
            sum = i == 0 ? v : __fadd_rn(sum, v);
            to[i * p.inner] = sum;
        }
    }
}

ENTRY(reduce_last_short)
ENTRY(reduce_last_warp)
ENTRY(reduce_last_block)
ENTRY(reduce_last_relay)
ENTRY(reduce_all_segments)
ENTRY(reduce_axis_columns)
ENTRY(reduce_axis_tile)
ENTRY(reduce_axis_partial)
ENTRY(reduce_axis_join)
ENTRY(reduce_arg_rows)
ENTRY(reduce_arg_columns)
ENTRY(reduce_scan)
