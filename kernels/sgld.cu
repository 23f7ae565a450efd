// One step of stochastic gradient Langevin dynamics, in place. Mirror of src/reference/sgld.rs;
// equation and buffers (g, counter, x) in src/kernel/sgld.rs.
//
// Launch: any grid along x of blocks of 256 threads; a thread owns a Philox block, four elements.
// Sums: none. Cost: 12 bytes per element; about 200 operations per four elements.
#include "rng.cuh"

struct SgldParams {
    u32 seed[2], stream, step, part, n, g_offset, x_offset, flags;
    float alpha, sigma, g_max, low, high;
};
static_assert(sizeof(SgldParams) == 56, "kernel::sgld::SgldParams");

#define CLAMP_GRADIENT 1u
#define CLAMP_BOX 2u

// NaN stays.
__device__ __forceinline__ float sgld_clamp(float v, float a, float b) { return v < a ? a : (v > b ? b : v); }

__device__ __forceinline__ float sgld_value(const SgldParams &p, float g, float x, float noise) {
    const float slope = p.flags & CLAMP_GRADIENT ? sgld_clamp(g, -p.g_max, p.g_max) : g;
    float t = __fmaf_rn(p.alpha, slope, x);
    t = __fmaf_rn(p.sigma, noise, t);
    return p.flags & CLAMP_BOX ? sgld_clamp(t, p.low, p.high) : t;
}

KERNEL sgld_step(const SgldParams p, const float *__restrict__ g, const u32 *__restrict__ counter,
                 float *__restrict__ x) {
    const rng::Stream noise = {p.seed[0], p.seed[1], p.stream, p.step + counter[0], p.part};
    const u32 blocks = p.n / 4 + (p.n % 4 != 0);
    g += p.g_offset;
    x += p.x_offset;
    const bool whole = (((size_t)g | (size_t)x) & 15) == 0;
    SWEEP(block, blocks) {
        const u32 first = (u32)block * 4, left = p.n - first;
        if (whole && left >= 4) {
            // Loads first: they travel while the numbers are drawn.
            const float4 s = *(const float4 *)(g + first);
            float4 v = *(const float4 *)(x + first);
            const rng::Floats z = noise.normal4((u32)block);
            v.x = sgld_value(p, s.x, v.x, z.v[0]);
            v.y = sgld_value(p, s.y, v.y, z.v[1]);
            v.z = sgld_value(p, s.z, v.z, z.v[2]);
            v.w = sgld_value(p, s.w, v.w, z.v[3]);
            *(float4 *)(x + first) = v;
        } else {
            const rng::Floats z = noise.normal4((u32)block);
#pragma unroll
            for (u32 k = 0; k < 4; ++k)
                if (k < left) x[first + k] = sgld_value(p, g[first + k], x[first + k], z.v[k]);
        }
    }
}

ENTRY(sgld_step)
