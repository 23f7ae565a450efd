// The tiled kernels of mmd.cu, whose head describes them: 64 points i against all j of some chunks.
// Included there, after what it uses.
#pragma once

#define TI 64u
#define TJ 128u
#define TILE_THREADS 128u
// Row lengths in shared memory: whole lines plus a shift of the banks.
#define XS (TI + 4)
#define YS (TJ + 4)
#define FS (TJ + 4)

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
    float *mine = &fs[i0 * FS + j0];
#define AT(a, b) (((a) / 4 * 32 + (a) % 4) * FS + (b) / 4 * 64 + (b) % 4)
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
            // All of a thread's part at once, so that it waits for memory once.
            float4 next[2 * C];
            u32 q = t % (TJ / 4) * 4, k0 = t / (TJ / 4);
#pragma unroll
            for (u32 e = 0; e < 2 * C; ++e) {
                u32 k = k0 + e * (TILE_THREADS / (TJ / 4));
                if (k < p.d) next[e] = *reinterpret_cast<const float4 *>(&yt[(u64)k * y_pad + first_j + q]);
            }
            __syncthreads();
            if (t == 0) zeros = 0;
#pragma unroll
            for (u32 e = 0; e < 2 * C; ++e) {
                u32 k = k0 + e * (TILE_THREADS / (TJ / 4));
                if (k < p.d) *reinterpret_cast<float4 *>(&ys[k * YS + q]) = next[e];
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
                        mine[AT(a, b)] = sq[a][b];
#pragma unroll 1
                for (u32 e = 0; e < 64; ++e) {
                    if (!(near[e / 32] >> (e % 32) & 1)) continue;
                    u32 i = e / 32 * 32 + i0 + e / 8 % 4, j = e % 8 / 4 * 64 + j0 + e % 4;
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
                        sq[a][b] = mine[AT(a, b)];
            }

            // A product with -0 changes no sum: for the j past the last.
            bool whole = first_j + TJ <= s.n;
            if (plain) {
#pragma unroll
                for (u32 a = 0; a < 8; ++a)
#pragma unroll
                    for (u32 b = 0; b < 8; ++b) mine[AT(a, b)] = exp_minus(g * sq[a][b]);
                if (!whole) {
#pragma unroll 1
                    for (u32 e = 0; e < 64; ++e)
                        if (first_j + j0 + e % 8 / 4 * 64 + e % 4 >= s.n) mine[AT(e / 8, e % 8)] = -0.0f;
                }
            } else {
#pragma unroll
                for (u32 a = 0; a < 8; ++a)
#pragma unroll
                    for (u32 b = 0; b < 8; ++b)
                        mine[AT(a, b)] = sq[a][b];
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
                            mine[AT(a, b)] = sq[a][b];
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
#pragma unroll 2
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
#undef AT
