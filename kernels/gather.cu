// Moving words: strided copies, rows by index, elements by index along an axis, their adjoints,
// one-hot rows. Mirror of src/reference/gather.rs; equations and buffers in src/kernel/gather.rs.
//
// Launch: any grid along x of blocks of 256 threads; a thread owns output elements (`gather_add_rows`:
// a warp owns an output row), so that nothing is written twice.
// Order of sums: ascending position of the index, from +0. Cost: 8 bytes per element moved.
#include "common.cuh"

struct CopyParams {
    Layout src, dst;
};
static_assert(sizeof(CopyParams) == 104, "kernel::gather::CopyParams");
struct RowsParams {
    u32 x_offset, index_offset, n_rows, width, m;
};
static_assert(sizeof(RowsParams) == 20, "kernel::gather::RowsParams");
struct AlongParams {
    u32 x_offset, index_offset, outer, n, inner, m;
};
static_assert(sizeof(AlongParams) == 24, "kernel::gather::AlongParams");
struct OneHotParams {
    u32 index_offset, m, classes;
};
static_assert(sizeof(OneHotParams) == 12, "kernel::gather::OneHotParams");

KERNEL gather_copy(const CopyParams p, const u32 *x, u32 *out) {
    const u64 n = length(p.src);
    SWEEP(i, n) out[place(p.dst, i)] = x[place(p.src, i)];
}

// Both sides contiguous.
KERNEL gather_copy_flat(const CopyParams p, const u32 *x, u32 *out) {
    const u64 n = length(p.src);
    x += p.src.offset;
    out += p.dst.offset;
    SWEEP(i, n) out[i] = x[i];
}

KERNEL gather_rows(const RowsParams p, const u32 *x, const u32 *index, u32 *out) {
    const u64 n = (u64)p.m * p.width;
    SWEEP(at, n) {
        const u64 i = at / p.width, k = at - i * p.width;
        const u32 j = index[p.index_offset + i];
        out[at] = j < p.n_rows ? x[p.x_offset + (u64)j * p.width + k] : 0;
    }
}

KERNEL gather_scatter_rows(const RowsParams p, const u32 *x, const u32 *index, u32 *out) {
    const u64 n = (u64)p.m * p.width;
    SWEEP(at, n) {
        const u64 i = at / p.width, k = at - i * p.width;
        const u32 j = index[p.index_offset + i];
        if (j < p.n_rows) out[(u64)j * p.width + k] = x[p.x_offset + at];
    }
}

// A warp owns a row of 32 columns of the output: it looks through the indices 32 at a time and adds
// the rows of x that belong to it, in order.
KERNEL gather_add_rows(const RowsParams p, const float *x, const u32 *index, float *out) {
    const u32 lane = threadIdx.x % 32;
    const u32 slices = (p.width + 31) / 32;
    const u64 n = (u64)p.n_rows * slices;
    x += p.x_offset;
    index += p.index_offset;
    for (u64 w = grid_index() / 32; w < n; w += grid_threads() / 32) {
        const u32 row = (u32)(w / slices), k = (u32)(w % slices) * 32 + lane;
        float sum = 0.0f;
        for (u64 first = 0; first < p.m; first += 32) {
            const bool mine = first + lane < p.m && index[first + lane] == row;
            u32 hits = __ballot_sync(0xffffffffu, mine);
            for (; hits; hits &= hits - 1) {
                const u64 i = first + (u32)(__ffs((int)hits) - 1);
                if (k < p.width) sum = __fadd_rn(sum, x[i * p.width + k]);
            }
        }
        if (k < p.width) out[(u64)row * p.width + k] = sum;
    }
}

KERNEL gather_along(const AlongParams p, const u32 *x, const u32 *index, u32 *out) {
    const u64 n = (u64)p.outer * p.m * p.inner;
    SWEEP(at, n) {
        const u64 row = at / p.inner, k = at - row * p.inner, o = row / p.m;
        const u32 j = index[p.index_offset + at];
        out[at] = j < p.n ? x[p.x_offset + (o * p.n + j) * p.inner + k] : 0;
    }
}

// A thread owns an output element and looks through its column of indices: for few indices.
KERNEL gather_add_along(const AlongParams p, const float *x, const u32 *index, float *out) {
    const u64 n = (u64)p.outer * p.n * p.inner;
    x += p.x_offset;
    index += p.index_offset;
    SWEEP(at, n) {
        const u64 row = at / p.inner, k = at - row * p.inner, o = row / p.n;
        const u32 j = (u32)(row - o * p.n);
        float sum = 0.0f;
        for (u64 i = 0; i < p.m; ++i) {
            const u64 from = (o * p.m + i) * p.inner + k;
            if (index[from] == j) sum = __fadd_rn(sum, x[from]);
        }
        out[at] = sum;
    }
}

// A thread owns a column of the output: for many columns.
KERNEL gather_add_along_columns(const AlongParams p, const float *x, const u32 *index, float *out) {
    const u64 columns = (u64)p.outer * p.inner;
    x += p.x_offset;
    index += p.index_offset;
    SWEEP(column, columns) {
        const u64 o = column / p.inner, k = column - o * p.inner;
        for (u64 j = 0; j < p.n; ++j) out[(o * p.n + j) * p.inner + k] = 0.0f;
        for (u64 i = 0; i < p.m; ++i) {
            const u64 from = (o * p.m + i) * p.inner + k;
            const u32 j = index[from];
            if (j >= p.n) continue;
            float *sum = &out[(o * p.n + j) * p.inner + k];
            *sum = __fadd_rn(*sum, x[from]);
        }
    }
}

KERNEL gather_one_hot(const OneHotParams p, const u32 *index, float *out) {
    const u64 n = (u64)p.m * p.classes;
    SWEEP(at, n) {
        const u64 i = at / p.classes;
        out[at] = index[p.index_offset + i] == (u32)(at - i * p.classes) ? 1.0f : 0.0f;
    }
}

ENTRY(gather_copy)
ENTRY(gather_copy_flat)
ENTRY(gather_rows)
ENTRY(gather_scatter_rows)
ENTRY(gather_add_rows)
ENTRY(gather_along)
ENTRY(gather_add_along)
ENTRY(gather_add_along_columns)
ENTRY(gather_one_hot)
