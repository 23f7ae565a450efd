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
#define TI 64u
#define TJ 128u
#define TILE_THREADS 128u
// Row lengths in shared memory: whole lines plus a shift of the banks.
#define XS (TI + 4)
#define YS (TJ + 4)
#define FS (TJ + 4)

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

// `math::exp(-q)` for q that is not negative: the same bits by two steps less.
__device__ __forceinline__ float exp_minus(float q) {
    using namespace math;
    float x = at_least(-q, -105.0f);
    auto [high, r] = reduce_to(x, 64.0f);
    return (1.0f + expm1_reduced(r)) * high * TWO_TO_MINUS_64;
}

// C: coordinates per thread, every 8th.
template <u32 C>
__device__ __forceinline__ void tile(const MmdParams &p, const float *x, const float *y, const float *gamma, const float *u,
                                     const float *v, const float *xt, const float *yt, const float *xn, const float *yn,
                                     float *totals, u32 side, u32 x_pad, u32 y_pad, u32 per) {
    SHARED(float, shared);
    float *xs = shared;              // [d][XS]
    float *ys = xs + C * 8 * XS;     // [d][YS]
    float *fs = ys + C * 8 * YS;     // [TI][FS]
    float *lanes = fs + TI * FS;     // [TI][2][8]
    __shared__ u32 zeros;
    Side s = seen_from(p, side);
    bool unit = p.flags & UNIT, expanded = is_expanded(p), exclude = p.flags & EXCLUDE_SELF;
    float g = gamma[p.gamma_at];
    // f = K but for points that coincide, and the exponent is not positive.
    bool plain = unit && !exclude && p.kind == GAUSSIAN && p.gammas == 1 && expanded && g >= 0.0f;
    u32 t = threadIdx.x, width = p.d + 2;
    u32 first_i = blockIdx.x * TI;
    u32 chunks = (s.n + CHUNK - 1) / CHUNK;
    u32 from_chunk = blockIdx.y * per, to_chunk = chunks - from_chunk < per ? chunks : from_chunk + per;
    bool parts = gridDim.y > 1;

    // Coordinates past d stay 0 in both.
    for (u32 e = t; e < C * 8 * XS; e += TILE_THREADS) xs[e] = 0.0f;
    for (u32 e = t; e < C * 8 * YS; e += TILE_THREADS) ys[e] = 0.0f;
    __syncthreads();
    for (u32 e = t; e < p.d * TI; e += TILE_THREADS) xs[e / TI * XS + e % TI] = xt[(u64)(e / TI) * x_pad + first_i + e % TI];

    // Stage 1: rows i0 .. i0+3, 32+i0 .., columns j0 .. j0+3, 64+j0 ...
    u32 i0 = t % 8 * 4, j0 = t / 8 * 4;
    // Stage 2: coordinates c0, c0+8, .. of rows r0, r0+16, ..
    u32 c0 = t % 8, r0 = t / 8;
    // Lanes half*8 .. half*8+7 of row `row`.
    u32 row = t % TI, half = t / TI;

    for (u32 chunk = from_chunk; chunk < to_chunk; ++chunk) {
        float acc[4][C];
#pragma unroll
        for (u32 r = 0; r < 4; ++r)
#pragma unroll
            for (u32 c = 0; c < C; ++c) acc[r][c] = 0.0f;
        float sum_k[8], sum_f[8];
#pragma unroll
        for (u32 l = 0; l < 8; ++l) sum_k[l] = sum_f[l] = 0.0f;

        for (u32 part = 0; part < CHUNK / TJ; ++part) {
            u32 first_j = chunk * CHUNK + part * TJ;
            if (first_j >= s.n) break;
            __syncthreads();
            if (t == 0) zeros = 0;
            for (u32 e = t; e < p.d * (TJ / 4); e += TILE_THREADS) {
                u32 k = e / (TJ / 4), q = e % (TJ / 4) * 4;
                *reinterpret_cast<float4 *>(&ys[k * YS + q]) =
                    *reinterpret_cast<const float4 *>(&yt[(u64)k * y_pad + first_j + q]);
            }
            __syncthreads();

            float sq[8][8];
#pragma unroll
            for (u32 a = 0; a < 8; ++a)
#pragma unroll
                for (u32 b = 0; b < 8; ++b) sq[a][b] = 0.0f;
#pragma unroll 2
            for (u32 k = 0; k < p.d; ++k) {
                float4 x0 = *reinterpret_cast<float4 *>(&xs[k * XS + i0]);
                float4 x1 = *reinterpret_cast<float4 *>(&xs[k * XS + 32 + i0]);
                float4 y0 = *reinterpret_cast<float4 *>(&ys[k * YS + j0]);
                float4 y1 = *reinterpret_cast<float4 *>(&ys[k * YS + 64 + j0]);
                float xv[8] = {x0.x, x0.y, x0.z, x0.w, x1.x, x1.y, x1.z, x1.w};
                float yv[8] = {y0.x, y0.y, y0.z, y0.w, y1.x, y1.y, y1.z, y1.w};
#pragma unroll
                for (u32 a = 0; a < 8; ++a)
#pragma unroll
                    for (u32 b = 0; b < 8; ++b) sq[a][b] = __fmaf_rn(xv[a], yv[b], sq[a][b]);
            }

            // Bit 8 a + b: a near pair.
            u32 near[2] = {0, 0};
            if (expanded) {
                float yv[8];
#pragma unroll
                for (u32 b = 0; b < 8; ++b) yv[b] = yn[first_j + b / 4 * 64 + j0 + b % 4];
#pragma unroll
                for (u32 a = 0; a < 8; ++a) {
                    float xv = xn[first_i + a / 4 * 32 + i0 + a % 4];
#pragma unroll
                    for (u32 b = 0; b < 8; ++b) {
                        float norms = xv + yv[b];
                        float far = __fmaf_rn(-2.0f, sq[a][b], norms);
                        if (!(far > NEAR * norms)) near[a / 4] |= 1u << (a % 4 * 8 + b);
                        sq[a][b] = far;
                    }
                }
            }
            if (near[0] | near[1]) {
                // Rare: through shared memory, where an element can be picked by its number.
#pragma unroll
                for (u32 a = 0; a < 8; ++a)
#pragma unroll
                    for (u32 b = 0; b < 8; ++b)
                        fs[(a / 4 * 32 + i0 + a % 4) * FS + b / 4 * 64 + j0 + b % 4] = sq[a][b];
#pragma unroll 1
                for (u32 e = 0; e < 64; ++e) {
                    if (!(near[e / 32] >> (e % 32) & 1)) continue;
                    u32 a = e / 8, b = e % 8;
                    u32 i = a / 4 * 32 + i0 + a % 4, j = b / 4 * 64 + j0 + b % 4;
                    float from = 1.0f;
                    if (first_i + i < s.m && first_j + j < s.n)
                        from = square(x + s.x_at + (u64)(first_i + i) * p.d, y + s.y_at + (u64)(first_j + j) * p.d, p.d);
                    fs[i * FS + j] = from;
                    // Only those that coincide are needed from here on.
                    if (from == 0.0f)
                        zeros = 1;
                    else
                        near[e / 32] &= ~(1u << (e % 32));
                }
#pragma unroll
                for (u32 a = 0; a < 8; ++a)
#pragma unroll
                    for (u32 b = 0; b < 8; ++b)
                        sq[a][b] = fs[(a / 4 * 32 + i0 + a % 4) * FS + b / 4 * 64 + j0 + b % 4];
            }

            // A product with -0 changes no sum: for the j past the last.
            bool whole = first_j + TJ <= s.n;
            if (plain) {
#pragma unroll
                for (u32 a = 0; a < 8; ++a) {
                    u32 i = a / 4 * 32 + i0 + a % 4;
#pragma unroll
                    for (u32 b = 0; b < 8; ++b) {
                        u32 j = b / 4 * 64 + j0 + b % 4;
                        float k = exp_minus(g * sq[a][b]);
                        fs[i * FS + j] = whole || first_j + j < s.n ? k : -0.0f;
                    }
                }
            } else {
#pragma unroll
                for (u32 a = 0; a < 8; ++a)
#pragma unroll
                    for (u32 b = 0; b < 8; ++b)
                        fs[(a / 4 * 32 + i0 + a % 4) * FS + b / 4 * 64 + j0 + b % 4] = sq[a][b];
#pragma unroll 1
                for (u32 e = 0; e < 64; ++e) {
                    u32 i = e / 32 * 32 + i0 + e / 8 % 4, j = e % 8 / 4 * 64 + j0 + e % 4;
                    float k = value_of(p, gamma, fs[i * FS + j]).k;
                    if (is_self(p, s, first_i + i, first_j + j)) k = 0.0f;
                    // K v; with its lanes below: fma(K, v, lane).
                    fs[i * FS + j] = first_j + j < s.n ? k : -0.0f;
                }
            }
            __syncthreads();
            bool apart = !plain || zeros;
#pragma unroll
            for (u32 q = 0; q < TJ / LANES; ++q) {
                const float *at = &fs[row * FS + q * LANES + half * 8];
                float4 k0 = *reinterpret_cast<const float4 *>(at), k1 = *reinterpret_cast<const float4 *>(at + 4);
                float kv[8] = {k0.x, k0.y, k0.z, k0.w, k1.x, k1.y, k1.z, k1.w};
                u32 j = first_j + q * LANES + half * 8;
#pragma unroll
                for (u32 l = 0; l < 8; ++l) {
                    float weight = unit || j + l >= s.n ? 1.0f : v[s.v_at + j + l];
                    sum_k[l] = __fmaf_rn(kv[l], weight, sum_k[l]);
                    if (!apart) sum_f[l] = sum_f[l] + kv[l];
                }
            }
            if (apart) {
                __syncthreads();
                if (plain) {
#pragma unroll 1
                    for (u32 e = 0; e < 64; ++e)
                        if (near[e / 32] >> (e % 32) & 1) {
                            u32 i = e / 32 * 32 + i0 + e / 8 % 4, j = e % 8 / 4 * 64 + j0 + e % 4;
                            if (first_j + j < s.n) fs[i * FS + j] = 0.0f;
                        }
                } else {
#pragma unroll
                    for (u32 a = 0; a < 8; ++a)
#pragma unroll
                        for (u32 b = 0; b < 8; ++b)
                            fs[(a / 4 * 32 + i0 + a % 4) * FS + b / 4 * 64 + j0 + b % 4] = sq[a][b];
    #pragma unroll 1
                for (u32 e = 0; e < 64; ++e) {
                        u32 i = e / 32 * 32 + i0 + e / 8 % 4, j = e % 8 / 4 * 64 + j0 + e % 4;
                        float h = value_of(p, gamma, fs[i * FS + j]).h;
                        if (near[e / 32] >> (e % 32) & 1) h = 0.0f;
                        if (is_self(p, s, first_i + i, first_j + j)) h = 0.0f;
                        bool inside = first_i + i < s.m && first_j + j < s.n;
                        float w = unit || !inside ? 1.0f : u[s.u_at + first_i + i] * v[s.v_at + first_j + j];
                        fs[i * FS + j] = first_j + j < s.n ? w * h : -0.0f;
                    }
                }
                __syncthreads();
#pragma unroll
                for (u32 q = 0; q < TJ / LANES; ++q) {
                    const float *at = &fs[row * FS + q * LANES + half * 8];
#pragma unroll
                    for (u32 l = 0; l < 8; ++l) sum_f[l] = sum_f[l] + at[l];
                }
            }

            // G, over j in order.
#pragma unroll 1
            for (u32 j = 0; j < TJ; j += 4) {
                float fv[4][4];
#pragma unroll
                for (u32 r = 0; r < 4; ++r) {
                    float4 f = *reinterpret_cast<float4 *>(&fs[(r0 + 16 * r) * FS + j]);
                    fv[r][0] = f.x, fv[r][1] = f.y, fv[r][2] = f.z, fv[r][3] = f.w;
                }
#pragma unroll
                for (u32 c = 0; c < C; ++c) {
                    float4 b = *reinterpret_cast<float4 *>(&ys[(c0 + 8 * c) * YS + j]);
                    float bv[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
                    for (u32 k = 0; k < 4; ++k)
#pragma unroll
                        for (u32 r = 0; r < 4; ++r) acc[r][c] = __fmaf_rn(fv[r][k], bv[k], acc[r][c]);
                }
            }
        }

        // The chunk's totals.
        bool begins = parts || chunk == 0;
        float *to = totals + (parts ? (u64)chunk * s.m * width : 0);
#pragma unroll
        for (u32 r = 0; r < 4; ++r) {
            u32 i = first_i + r0 + 16 * r;
            if (i >= s.m) continue;
#pragma unroll
            for (u32 c = 0; c < C; ++c) {
                u32 k = c0 + 8 * c;
                if (k >= p.d) continue;
                float *at = &to[(u64)i * width + k];
                *at = begins ? acc[r][c] : *at + acc[r][c];
            }
        }
        __syncthreads();
        if (half == 1) {
#pragma unroll
            for (u32 l = 0; l < 8; ++l) {
                lanes[row * 16 + l] = sum_f[l];
                lanes[row * 16 + 8 + l] = sum_k[l];
            }
        }
        __syncthreads();
        if (half == 0 && first_i + row < s.m) {
#pragma unroll
            for (u32 l = 0; l < 8; ++l) {
                sum_f[l] = sum_f[l] + lanes[row * 16 + l];
                sum_k[l] = sum_k[l] + lanes[row * 16 + 8 + l];
            }
#pragma unroll
            for (u32 h = 4; h > 0; h /= 2)
#pragma unroll
                for (u32 l = 0; l < 4; ++l)
                    if (l < h) {
                        sum_f[l] = sum_f[l] + sum_f[l + h];
                        sum_k[l] = sum_k[l] + sum_k[l + h];
                    }
            float *at = &to[(u64)(first_i + row) * width + p.d];
            at[0] = begins ? sum_f[0] : at[0] + sum_f[0];
            at[1] = begins ? sum_k[0] : at[1] + sum_k[0];
        }
    }
}

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
