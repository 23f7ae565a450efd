// Batch and layer normalisation with their gradients. Mirror of src/reference/norm.rs; equations and
// buffers in src/kernel/norm.rs.
//
// Launch. Statistics and gradients of columns: a block of 32 columns x (blocks of 64 rows) owns 32
// columns (`norm_batch_stats`, `norm_batch_sums`, `norm_layer_columns`). Maps: a block of 32 x 8
// threads, columns along x, rows along y, any grid (`norm_batch_apply`, `norm_batch_dx`). Layer
// normalisation: a row belongs to a part of a warp (`_short`, up to 32 values), a warp (`_warp`, up
// to 256), a block of 256 threads (`_block`, up to 2048; these hold the row in registers) or a block
// that reads the row again (`_long`). Order of sums: blocks over rows, lanes within a row.
// Cost: 4 bytes per element and pass.
#include "columns.cuh"

struct BatchStatsParams {
    u32 x_offset, row_weights_offset, weighted, rows, features;
};
static_assert(sizeof(BatchStatsParams) == 20, "kernel::norm::BatchStatsParams");
struct BatchApplyParams {
    u32 x_offset, mean_offset, var_offset, w_offset, b_offset, affine, rows, features;
    float eps;
};
static_assert(sizeof(BatchApplyParams) == 36, "kernel::norm::BatchApplyParams");
struct BatchRunningParams {
    u32 mean_offset, var_offset, features;
    float momentum, count;
};
static_assert(sizeof(BatchRunningParams) == 20, "kernel::norm::BatchRunningParams");
struct BatchGradParams {
    u32 dy_offset, x_offset, mean_offset, var_offset, w_offset, row_weights_offset, affine, weighted, rows, features;
    float eps;
};
static_assert(sizeof(BatchGradParams) == 44, "kernel::norm::BatchGradParams");
struct LayerParams {
    u32 x_offset, w_offset, b_offset, dy_offset, affine, rows, n;
    float eps;
};
static_assert(sizeof(LayerParams) == 32, "kernel::norm::LayerParams");

__device__ __forceinline__ float inverse_root(float var, float eps) { return 1.0f / __fsqrt_rn(var + eps); }

// ---- batch ----

KERNEL __launch_bounds__(32 * MOST_BLOCKS)
    norm_batch_stats(const BatchStatsParams p, const float *__restrict__ x,
                     const float *__restrict__ row_weights, float *__restrict__ mean_out,
                     float *__restrict__ var_out) {
    __shared__ Totals<1> shared;
    const float *v = p.weighted ? row_weights + p.row_weights_offset : row_weights;
    const u32 tiles = (p.features + 31) / 32;
    for (u32 t = blockIdx.x; t < tiles; t += gridDim.x) {
        const u32 f = t * 32 + threadIdx.x;
        const bool live = f < p.features;
        const float *column = x + p.x_offset + f;
        float total[1] = {__uint2float_rn(p.rows)}, mean[1], var[1];
        if (p.weighted) by_blocks<Sum, 1>(p.rows, live, shared, total, [&](u64 r, float *s) { s[0] = v[r]; });
        by_blocks<Sum, 1>(p.rows, live, shared, mean, [&](u64 r, float *s) {
            const float value = column[r * p.features];
            s[0] = p.weighted ? v[r] * value : value;
        });
        mean[0] = mean[0] / total[0];
        by_blocks<Sum, 1>(p.rows, live, shared, var, [&](u64 r, float *s) {
            const float d = column[r * p.features] - mean[0];
            s[0] = p.weighted ? v[r] * (d * d) : d * d;
        });
        if (live && threadIdx.y == 0) {
            mean_out[f] = mean[0];
            var_out[f] = var[0] / total[0];
        }
    }
}

KERNEL norm_batch_apply(const BatchApplyParams p, const float *__restrict__ x, const float *__restrict__ mean,
                        const float *__restrict__ var, const float *__restrict__ w, const float *__restrict__ b,
                        float *__restrict__ y) {
    const u32 tiles = (p.features + 31) / 32;
    for (u32 t = blockIdx.x; t < tiles; t += gridDim.x) {
        const u32 f = t * 32 + threadIdx.x;
        if (f >= p.features) continue;
        const float m = mean[p.mean_offset + f], inv = inverse_root(var[p.var_offset + f], p.eps);
        const float scale = p.affine ? w[p.w_offset + f] : 0.0f, shift = p.affine ? b[p.b_offset + f] : 0.0f;
        for (u64 r = (u64)blockIdx.y * blockDim.y + threadIdx.y; r < p.rows; r += (u64)gridDim.y * blockDim.y) {
            const u64 i = r * p.features + f;
            const float xhat = (x[p.x_offset + i] - m) * inv;
            y[i] = p.affine ? xhat * scale + shift : xhat;
        }
    }
}

KERNEL norm_batch_running(const BatchRunningParams p, const float *__restrict__ mean, const float *__restrict__ var,
                          float *__restrict__ running_mean, float *__restrict__ running_var) {
    const float factor = p.count > 1.0f ? p.count / (p.count - 1.0f) : 1.0f;
    SWEEP(f, p.features) {
        const float m = mean[p.mean_offset + f], v = var[p.var_offset + f] * factor;
        running_mean[f] = (1.0f - p.momentum) * running_mean[f] + p.momentum * m;
        running_var[f] = (1.0f - p.momentum) * running_var[f] + p.momentum * v;
    }
}

// dw and db; the first block also leaves the sum of the row weights in `total`.
KERNEL __launch_bounds__(32 * MOST_BLOCKS)
    norm_batch_sums(const BatchGradParams p, const float *__restrict__ dy, const float *__restrict__ x,
                    const float *__restrict__ mean, const float *__restrict__ var,
                    const float *__restrict__ row_weights, float *__restrict__ dw, float *__restrict__ db,
                    float *__restrict__ total) {
    __shared__ Totals<2> shared;
    __shared__ Totals<1> shared_weights;
    const u32 tiles = (p.features + 31) / 32;
    for (u32 t = blockIdx.x; t < tiles; t += gridDim.x) {
        const u32 f = t * 32 + threadIdx.x;
        const bool live = f < p.features;
        const float m = live ? mean[p.mean_offset + f] : 0.0f;
        const float inv = live ? inverse_root(var[p.var_offset + f], p.eps) : 0.0f;
        const float *dy_column = dy + p.dy_offset + f, *x_column = x + p.x_offset + f;
        float sums[2];
        by_blocks<Sum, 2>(p.rows, live, shared, sums, [&](u64 r, float *s) {
            const float slope = dy_column[r * p.features];
            s[0] = slope * ((x_column[r * p.features] - m) * inv);
            s[1] = slope;
        });
        if (live && threadIdx.y == 0) {
            dw[f] = sums[0];
            db[f] = sums[1];
        }
        if (t == 0) {
            float weights[1] = {__uint2float_rn(p.rows)};
            if (p.weighted)
                by_blocks<Sum, 1>(p.rows, live, shared_weights, weights,
                                  [&](u64 r, float *s) { s[0] = row_weights[p.row_weights_offset + r]; });
            if (threadIdx.x == 0 && threadIdx.y == 0) total[0] = weights[0];
        }
    }
}

KERNEL norm_batch_dx(const BatchGradParams p, const float *__restrict__ dy, const float *__restrict__ x,
                     const float *__restrict__ mean, const float *__restrict__ var, const float *__restrict__ w,
                     const float *__restrict__ row_weights, float *__restrict__ dx, const float *__restrict__ dw,
                     const float *__restrict__ db, const float *__restrict__ total) {
    const u32 tiles = (p.features + 31) / 32;
    const float all = total[0], equal = 1.0f / all;
    for (u32 t = blockIdx.x; t < tiles; t += gridDim.x) {
        const u32 f = t * 32 + threadIdx.x;
        if (f >= p.features) continue;
        const float m = mean[p.mean_offset + f], inv = inverse_root(var[p.var_offset + f], p.eps);
        const float scale = p.affine ? w[p.w_offset + f] * inv : inv;
        const float sum = db[f], sum_xhat = dw[f];
        for (u64 r = (u64)blockIdx.y * blockDim.y + threadIdx.y; r < p.rows; r += (u64)gridDim.y * blockDim.y) {
            const u64 i = r * p.features + f;
            const float k = p.weighted ? row_weights[p.row_weights_offset + r] / all : equal;
            const float xhat = (x[p.x_offset + i] - m) * inv;
            dx[i] = scale * (dy[p.dy_offset + i] - k * (sum + xhat * sum_xhat));
        }
    }
}

// ---- layer ----

// Values of a row, V per thread in registers, or read again for V = 0.
template <int V>
struct Values {
    float v[V] = {};
    template <class Team>
    __device__ __forceinline__ Values(const Team &team, const float *row, u32 n) {
        each_element<V>(team, n, [&](int slot, u32 i) { v[slot] = row[i]; });
    }
    __device__ __forceinline__ float at(int slot, u32) const { return v[slot]; }
};
template <>
struct Values<0> {
    const float *row;
    template <class Team>
    __device__ __forceinline__ Values(const Team &, const float *row, u32) : row(row) {}
    __device__ __forceinline__ float at(int, u32 i) const { return row[i]; }
};

// Mean and `1 / sqrt(var + eps)` of a row.
template <int V, class Team>
__device__ __forceinline__ float2 row_stats(Team &team, const Values<V> &x, u32 n, float eps) {
    const float count = __uint2float_rn(n);
    const float mean = by_lanes<Sum, V>(team, n, [&](int slot, u32 i) { return x.at(slot, i); }) / count;
    const float var = by_lanes<Sum, V>(team, n, [&](int slot, u32 i) {
        const float d = x.at(slot, i) - mean;
        return d * d;
    }) / count;
    return make_float2(mean, inverse_root(var, eps));
}

template <int V, class Team>
__device__ __forceinline__ void norm_layer(Team team, const LayerParams &p, const float *in, const float *w,
                                           const float *b, float *out) {
    for (; team.more(); team.row += team.step) {
        const Values<V> x(team, in + p.x_offset + team.index() * p.n, p.n);
        const float2 stats = row_stats<V>(team, x, p.n, p.eps);
        float *y = out + team.index() * p.n;
        if (team.live())
            each_element<V>(team, p.n, [&](int slot, u32 i) {
                const float xhat = (x.at(slot, i) - stats.x) * stats.y;
                y[i] = p.affine ? xhat * w[p.w_offset + i] + b[p.b_offset + i] : xhat;
            });
    }
}

// dx, and the rows' means and inverse roots to `stats[rows, 2]`.
template <int V, class Team>
__device__ __forceinline__ void norm_layer_grad(Team team, const LayerParams &p, const float *in, const float *w,
                                                const float *dy, float *dx, float *stats_out) {
    const float count = __uint2float_rn(p.n);
    for (; team.more(); team.row += team.step) {
        const Values<V> x(team, in + p.x_offset + team.index() * p.n, p.n);
        const Values<V> slope(team, dy + p.dy_offset + team.index() * p.n, p.n);
        const float2 stats = row_stats<V>(team, x, p.n, p.eps);
        auto g = [&](int slot, u32 i) {
            return p.affine ? slope.at(slot, i) * w[p.w_offset + i] : slope.at(slot, i);
        };
        auto xhat = [&](int slot, u32 i) { return (x.at(slot, i) - stats.x) * stats.y; };
        const float mean_g = by_lanes<Sum, V>(team, p.n, g) / count;
        const float mean_gx =
            by_lanes<Sum, V>(team, p.n, [&](int slot, u32 i) { return g(slot, i) * xhat(slot, i); }) / count;
        float *out = dx + team.index() * p.n;
        if (!team.live()) continue;
        each_element<V>(team, p.n, [&](int slot, u32 i) {
            out[i] = stats.y * ((g(slot, i) - mean_g) - xhat(slot, i) * mean_gx);
        });
        if (team.thread == 0) {
            stats_out[2 * team.row] = stats.x;
            stats_out[2 * team.row + 1] = stats.y;
        }
    }
}

KERNEL __launch_bounds__(32 * MOST_BLOCKS)
    norm_layer_columns(const LayerParams p, const float *__restrict__ x, const float *__restrict__ dy,
                       const float *__restrict__ stats, float *__restrict__ dw, float *__restrict__ db) {
    __shared__ Totals<2> shared;
    const u32 tiles = (p.n + 31) / 32;
    for (u32 t = blockIdx.x; t < tiles; t += gridDim.x) {
        const u32 j = t * 32 + threadIdx.x;
        const bool live = j < p.n;
        const float *dy_column = dy + p.dy_offset + j, *x_column = x + p.x_offset + j;
        float sums[2];
        by_blocks<Sum, 2>(p.rows, live, shared, sums, [&](u64 r, float *s) {
            const float slope = dy_column[r * p.n];
            s[0] = slope * ((x_column[r * p.n] - stats[2 * r]) * stats[2 * r + 1]);
            s[1] = slope;
        });
        if (live && threadIdx.y == 0) {
            dw[j] = sums[0];
            db[j] = sums[1];
        }
    }
}

#define IN const float *__restrict__
#define OUT float *__restrict__
// The four kernels of an entry on rows. LIST: its parameters after the params, then the same as
// arguments.
#define ENTRIES(name, LIST, ...)                                              \
    KERNEL name##_short(const LayerParams p, LIST, u32 width) {               \
        name<1>(SomeLanes(p.rows, width), p, __VA_ARGS__);                    \
    }                                                                         \
    KERNEL name##_warp(const LayerParams p, LIST) { name<8>(Warp(p.rows), p, __VA_ARGS__); } \
    KERNEL name##_block(const LayerParams p, LIST) {                          \
        __shared__ float shared[512];                                         \
        name<8>(Block(p.rows, shared), p, __VA_ARGS__);                       \
    }                                                                         \
    KERNEL name##_long(const LayerParams p, LIST) {                           \
        __shared__ float shared[512];                                         \
        name<0>(Block(p.rows, shared), p, __VA_ARGS__);                       \
    }                                                                         \
    ENTRY(name##_short)                                                       \
    ENTRY(name##_warp)                                                        \
    ENTRY(name##_block)                                                       \
    ENTRY(name##_long)

#define LAYER IN x, IN w, IN b, OUT y
#define LAYER_GRAD IN x, IN w, IN dy, OUT dx, OUT stats
ENTRIES(norm_layer, LAYER, x, w, b, y)
ENTRIES(norm_layer_grad, LAYER_GRAD, x, w, dy, dx, stats)

ENTRY(norm_batch_stats)
ENTRY(norm_batch_apply)
ENTRY(norm_batch_running)
ENTRY(norm_batch_sums)
ENTRY(norm_batch_dx)
ENTRY(norm_layer_columns)
