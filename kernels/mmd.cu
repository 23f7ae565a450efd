// Sums over pairs of points of a kernel function, with gradients, without the matrix of pairs.
// Mirror of src/reference/mmd.rs; the table of kinds and the order of sums are in src/kernel/mmd.rs.
//
//   mmd_centre    points less the centre, transposed: t_points[t][i], rows padded with zeros to `pad`
//                 points, and |x'|^2 of every point
//   mmd_rows      the kernel matrix, a thread per pair
//   mmd_row       `apply` and `apply_grad` for any kind and size: a block per point i, chunks of 256 j;
//                 thread j has pair (i, j), then 16 lanes per column sum K v, and thread t the gradient
//   mmd_tile32, mmd_tile56, mmd_tile64 (one column of weights, products of points, up to so many
//                 coordinates): a block has 64 points i and goes over its chunks of j in tiles of 128.
//                 Products of points in tiles of 8 x 8 per thread; K and f = w h through shared memory;
//                 lanes; then F Y' with 4 rows and every 8th coordinate per thread. Totals of chunks
//                 go to totals[part][i][d + 2] (G, then sum of f, then sum of K v): added up there
//                 when the block has all chunks, else a part per chunk
//   mmd_finish    adds the parts in order; out and grad
//
// `side` 1: the roles of x and y exchanged (buffers are passed in their new roles).
//
// Per pair and side about d fused multiply-adds for the distance, d for the gradient and 40 other
// operations; nothing but the points and m (d + 2) totals in memory.
#include "math.cuh"

struct MmdParams {
    u32 kind, m, n, d, p, gammas, flags, first, x_at, y_at, gamma_at, centre_at, u_at, v_at;
    float scale, shift;
};
static_assert(sizeof(MmdParams) == 64, "kernel::mmd::MmdParams");

enum Kind : u32 { LINEAR, CUBIC, GAUSSIAN, LAPLACIAN, DISTANCE, GAUSSIAN_SCALE };
#define EXCLUDE_SELF 1u
#define UNIT 2u
#define CHUNK 256u
#define LANES 16u
#define EXPANDED 16u
#define NEAR (1.0f / 32.0f)
// Length of a chain of a dense product.
#define K_CHUNK 256u

#define THREADS 256u

// A launch seen from one side.
struct Side {
    u32 m, n, x_at, y_at, u_at, v_at;
    // j of the pair of a point with itself less its i.
    i64 first;
};
__device__ __forceinline__ Side seen_from(const MmdParams &p, u32 side) {
    if (side) return {p.n, p.m, p.y_at, p.x_at, p.v_at, p.u_at, -(i64)p.first};
    return {p.m, p.n, p.x_at, p.y_at, p.u_at, p.v_at, (i64)p.first};
}

__device__ __forceinline__ bool is_square(u32 kind) {
    return kind == GAUSSIAN || kind == DISTANCE || kind == GAUSSIAN_SCALE;
}
__device__ __forceinline__ bool is_expanded(const MmdParams &p) { return is_square(p.kind) && p.d >= EXPANDED; }
__device__ __forceinline__ bool is_self(const MmdParams &p, const Side &s, u32 i, u32 j) {
    return p.flags & EXCLUDE_SELF && s.first + (i64)i == (i64)j;
}

// Product of two points less their centres (`cx`, `cy`: null for points as they are).
__device__ __forceinline__ float less(const float *x, const float *c, u32 t) { return c ? x[t] - c[t] : x[t]; }
__device__ float dot(const float *x, const float *y, const float *c, u32 d) {
    float total = 0.0f;
    for (u32 from = 0; from < d; from += K_CHUNK) {
        u32 to = d - from < K_CHUNK ? d : from + K_CHUNK;
        float chain = 0.0f;
#pragma unroll 2
        for (u32 t = from; t < to; ++t) chain = __fmaf_rn(less(x, c, t), less(y, c, t), chain);
        total = from == 0 ? chain : total + chain;
    }
    return total;
}

__device__ float square(const float *x, const float *y, u32 d) {
    float s = 0.0f;
    for (u32 t = 0; t < d; ++t) {
        float e = x[t] - y[t];
        s = __fmaf_rn(e, e, s);
    }
    return s;
}

// `s` of the table; `near` where it was expanded and is a chain of differences.
__device__ float base(const MmdParams &p, const float *x, const float *y, const float *c, bool &near) {
    near = false;
    if (p.kind == LINEAR || p.kind == CUBIC) return dot(x, y, nullptr, p.d);
    if (p.kind == LAPLACIAN) {
        float s = 0.0f;
        for (u32 t = 0; t < p.d; ++t) s = s + math::abs(x[t] - y[t]);
        return s;
    }
    if (!is_expanded(p)) return square(x, y, p.d);
    float norms = dot(x, x, c, p.d) + dot(y, y, c, p.d);
    float s = __fmaf_rn(-2.0f, dot(x, y, c, p.d), norms);
    if (s > NEAR * norms) return s;
    near = true;
    return square(x, y, p.d);
}

struct Value {
    float k, h;
};
// `(K, h)` of the table from s.
__device__ __forceinline__ Value value_of(const MmdParams &p, const float *gamma, float s) {
    switch (p.kind) {
        case CUBIC: {
            float q = __fmaf_rn(s, p.scale, p.shift);
            return {(q * q) * q, q * q};
        }
        case GAUSSIAN:
        case LAPLACIAN: {
            float k = 0.0f, h = 0.0f;
#pragma unroll 1
            for (u32 i = 0; i < p.gammas; ++i) {
                float g = gamma[p.gamma_at + i];
                float e = math::exp(-(g * s));
                k = i == 0 ? e : k + e;
                h = i == 0 ? g * e : h + g * e;
            }
            return {k, p.gammas == 1 ? k : h};
        }
        case GAUSSIAN_SCALE: {
            float k = 0.0f, h = 0.0f;
#pragma unroll 1
            for (u32 i = 0; i < p.gammas; ++i) {
                float g = gamma[p.gamma_at + i];
                float q = g * s;
                float e = math::exp(-q);
                k = i == 0 ? q * e : k + q * e;
                h = i == 0 ? (q - 1.0f) * (g * e) : h + (q - 1.0f) * (g * e);
            }
            return {-k, h};
        }
        default:
            return {s, 1.0f};
    }
}

__device__ Value pair(const MmdParams &p, const Side &s, const float *x, const float *y, const float *gamma,
                      const float *centre, u32 i, u32 j) {
    if (is_self(p, s, i, j)) return {0.0f, 0.0f};
    bool near;
    const float *c = is_expanded(p) ? centre + p.centre_at : nullptr;
    float from = base(p, x + s.x_at + (u64)i * p.d, y + s.y_at + (u64)j * p.d, c, near);
    Value v = value_of(p, gamma, from);
    return {v.k, near && from == 0.0f ? 0.0f : v.h};
}

// `a` of the table.
__device__ __forceinline__ float factor(const MmdParams &p, const float *gamma) {
    switch (p.kind) {
        case LINEAR:
            return 1.0f;
        case CUBIC:
            return 3.0f * p.scale;
        case GAUSSIAN:
            return p.gammas == 1 ? -2.0f * gamma[p.gamma_at] : -2.0f;
        case LAPLACIAN:
            return p.gammas == 1 ? -1.0f * gamma[p.gamma_at] : -1.0f;
        default:
            return 2.0f;
    }
}

KERNEL mmd_rows(const MmdParams p, const float *x, const float *y, const float *gamma, const float *centre, float *out) {
    Side s = seen_from(p, 0);
    u64 pairs = (u64)p.m * p.n;
    SWEEP(at, pairs) {
        u32 i = (u32)(at / p.n), j = (u32)(at - (u64)i * p.n);
        out[at] = pair(p, s, x, y, gamma, centre, i, j).k;
    }
}

// Halves 16 lanes, each in a thread of its own, side by side in a warp.
__device__ __forceinline__ float halve(float lane) {
    for (u32 s = LANES / 2; s > 0; s /= 2) lane = lane + __shfl_down_sync(0xffffffffu, lane, s, LANES);
    return lane;
}

// grad null: `apply`.
KERNEL mmd_row(const MmdParams p, const float *x, const float *y, const float *gamma, const float *centre, const float *u,
               const float *v, float *out, float *grad, u32 side, u32 gradients) {
    __shared__ float ks[CHUNK];
    __shared__ float fs[CHUNK];
    Side s = seen_from(p, side);
    bool unit = p.flags & UNIT, expanded = is_expanded(p);
    u32 columns = unit ? 1 : p.p;
    float a = factor(p, gamma);
    u32 t = threadIdx.x, k = t / LANES, lane = t % LANES;
    // 16 lanes for each column of `out`, then 16 for the sum of f.
    bool sums_f = k == columns;
    for (u32 i = blockIdx.x; i < s.m; i += gridDim.x) {
        float total = 0.0f;
        for (u32 pass = 0; pass == 0 || (gradients && pass * THREADS < p.d); ++pass) {
            u32 coordinate = pass * THREADS + t;
            float slope = 0.0f;
            for (u32 from = 0; from < s.n; from += CHUNK) {
                u32 count = s.n - from < CHUNK ? s.n - from : CHUNK;
                __syncthreads();
                if (t < count) {
                    u32 j = from + t;
                    Value value = pair(p, s, x, y, gamma, centre, i, j);
                    ks[t] = value.k;
                    if (gradients) {
                        float w = 1.0f;
                        if (!unit) {
                            const float *ui = u + s.u_at + (u64)i * columns, *vj = v + s.v_at + (u64)j * columns;
                            w = ui[0] * vj[0];
                            for (u32 c = 1; c < columns; ++c) w = __fmaf_rn(ui[c], vj[c], w);
                        }
                        fs[t] = w * value.h;
                    }
                }
                __syncthreads();
                if (pass == 0) {
                    float sum = 0.0f;
                    if (k < columns) {
                        for (u32 j = lane; j < count; j += LANES) {
                            float weight = unit ? 1.0f : v[s.v_at + (u64)(from + j) * columns + k];
                            sum = __fmaf_rn(ks[j], weight, sum);
                        }
                    } else if (sums_f && gradients) {
                        for (u32 j = lane; j < count; j += LANES) sum = sum + fs[j];
                    }
                    sum = halve(sum);
                    total = from == 0 ? sum : total + sum;
                }
                if (gradients && coordinate < p.d) {
                    const float *xi = x + s.x_at + (u64)i * p.d, *ys = y + s.y_at + (u64)from * p.d + coordinate;
                    float c = expanded ? centre[p.centre_at + coordinate] : 0.0f;
                    float chain = 0.0f;
                    for (u32 j = 0; j < count; ++j) {
                        float b = ys[(u64)j * p.d];
                        if (expanded) {
                            b = b - c;
                        } else if (p.kind != LINEAR && p.kind != CUBIC) {
                            float e = xi[coordinate] - b;
                            b = p.kind != LAPLACIAN ? e : e > 0.0f ? 1.0f : e < 0.0f ? -1.0f : 0.0f;
                        }
                        chain = __fmaf_rn(fs[j], b, chain);
                    }
                    slope = from == 0 ? chain : slope + chain;
                }
            }
            if (pass == 0) {
                if (k < columns && lane == 0) out[(u64)i * columns + k] = total;
                __syncthreads();
                // The sum of f, for all.
                if (sums_f && lane == 0) ks[0] = total;
                __syncthreads();
                total = ks[0];
            }
            if (gradients && coordinate < p.d) {
                u64 at = (u64)i * p.d + coordinate;
                if (expanded)
                    slope = __fmaf_rn(x[s.x_at + at] - centre[p.centre_at + coordinate], total, -slope);
                grad[at] = a * slope;
            }
        }
        __syncthreads();
    }
}

KERNEL mmd_centre(const MmdParams p, const float *points, const float *centre, float *transposed, float *norms, u32 count,
                  u32 first, u32 pad) {
    bool expanded = is_expanded(p);
    SWEEP(i, pad) {
        const float *x = points + first + i * p.d;
        for (u32 t = 0; t < p.d; ++t) {
            float value = i < count ? x[t] : 0.0f;
            if (expanded && i < count) value = value - centre[p.centre_at + t];
            transposed[(u64)t * pad + i] = value;
        }
        norms[i] = i < count && expanded ? dot(x, x, centre + p.centre_at, p.d) : 0.0f;
    }
}

#include "mmd/tile.cuh"

#define TILE_KERNEL(name, C)                                                                                        \
    KERNEL __launch_bounds__(128, 2)                                                                                \
        name(const MmdParams p, const float *x, const float *y, const float *gamma, const float *u, const float *v, \
             const float *xt, const float *yt, const float *xn, const float *yn, float *totals, u32 side,           \
             u32 x_pad, u32 y_pad, u32 per) {                                                                       \
        tile<C>(p, x, y, gamma, u, v, xt, yt, xn, yn, totals, side, x_pad, y_pad, per);                             \
    }
TILE_KERNEL(mmd_tile32, 4)
TILE_KERNEL(mmd_tile56, 7)
TILE_KERNEL(mmd_tile64, 8)

// `parts` totals per point to out and, if asked for, grad.
KERNEL mmd_finish(const MmdParams p, const float *x, const float *gamma, const float *centre, const float *totals,
                  float *out, float *grad, u32 side, u32 parts, u32 gradients) {
    Side s = seen_from(p, side);
    u32 width = p.d + 2, columns = gradients ? p.d + 1 : 1;
    bool expanded = is_expanded(p);
    float a = factor(p, gamma);
    u64 size = (u64)s.m * width, n = (u64)s.m * columns;
    SWEEP(e, n) {
        u32 i = (u32)(e / columns), t = (u32)(e - (u64)i * columns);
        // The last column is `out`.
        bool last = t == columns - 1;
        const float *at = totals + (u64)i * width;
        float total = 0.0f, f = 0.0f;
        for (u32 part = 0; part < parts; ++part) {
            float next = at[part * size + (last ? p.d + 1 : t)];
            total = part == 0 ? next : total + next;
            if (!last && expanded) {
                float next_f = at[part * size + p.d];
                f = part == 0 ? next_f : f + next_f;
            }
        }
        if (last) {
            out[i] = total;
        } else {
            u64 to = (u64)i * p.d + t;
            if (expanded) total = __fmaf_rn(x[s.x_at + to] - centre[p.centre_at + t], f, -total);
            grad[to] = a * total;
        }
    }
}

ENTRY(mmd_rows)
ENTRY(mmd_row)
ENTRY(mmd_centre)
ENTRY(mmd_tile32)
ENTRY(mmd_tile56)
ENTRY(mmd_tile64)
ENTRY(mmd_finish)
