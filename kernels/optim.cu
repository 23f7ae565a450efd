// Optimiser steps over a flat range of all parameters and their state: one launch each. Mirror of
// src/reference/optim.rs; rules and buffers in src/kernel/optim.rs.
//
// Launch: any grid along x of blocks of 256 threads; a thread owns four elements, moved at once where
// the range allows. Sums: none. Cost: 4 bytes per gradient, 8 per parameter and per state element.
#include "common.cuh"

struct OptimParams {
    u32 n, g_at, w_at, state_at, step_at, flags;
    float beta1, rest1, beta2, rest2, eps, l2, decay;
};
static_assert(sizeof(OptimParams) == 52, "kernel::optim::OptimParams");

#define NESTEROV 1u

// Runs `rule(g, v)` for each element, v = [w, state ..]; S counts them.
template <int S, class Rule>
__device__ __forceinline__ void optim_each(const OptimParams &p, const float *__restrict__ g,
                                           float *const (&buffers)[S], Rule rule) {
    g += p.g_at;
    float *at[S];
    size_t low = (size_t)g;
#pragma unroll
    for (int s = 0; s < S; ++s) {
        at[s] = buffers[s] + (s == 0 ? p.w_at : p.state_at);
        low |= (size_t)at[s];
    }
    const bool whole = (low & 15) == 0;
    const u32 blocks = p.n / 4 + (p.n % 4 != 0);
    SWEEP(block, blocks) {
        const u32 first = (u32)block * 4, left = p.n - first;
        if (whole && left >= 4) {
            const float4 slope = *(const float4 *)(g + first);
            float4 held[S];
#pragma unroll
            for (int s = 0; s < S; ++s) held[s] = *(const float4 *)(at[s] + first);
            float v[4][S];
#pragma unroll
            for (int s = 0; s < S; ++s) {
                v[0][s] = held[s].x;
                v[1][s] = held[s].y;
                v[2][s] = held[s].z;
                v[3][s] = held[s].w;
            }
            rule(slope.x, v[0]);
            rule(slope.y, v[1]);
            rule(slope.z, v[2]);
            rule(slope.w, v[3]);
#pragma unroll
            for (int s = 0; s < S; ++s)
                *(float4 *)(at[s] + first) = make_float4(v[0][s], v[1][s], v[2][s], v[3][s]);
        } else {
            for (u32 i = first; i < first + (left < 4 ? left : 4); ++i) {
                float v[S];
#pragma unroll
                for (int s = 0; s < S; ++s) v[s] = at[s][i];
                rule(g[i], v);
#pragma unroll
                for (int s = 0; s < S; ++s) at[s][i] = v[s];
            }
        }
    }
}

// `b > a or b is NaN ? b : a`
__device__ __forceinline__ float optim_max(float a, float b) { return b > a || is_nan(b) ? b : a; }
__device__ __forceinline__ float fma_rn(float a, float b, float c) { return __fmaf_rn(a, b, c); }

KERNEL optim_sgd(const OptimParams p, const float *g, const float *step, float *w) {
    const float s0 = step[p.step_at];
    float *const buffers[1] = {w};
    optim_each<1>(p, g, buffers, [&](float g, float *v) {
        g = fma_rn(p.l2, v[0], g);
        v[0] = fma_rn(-s0, g, v[0]);
    });
}

KERNEL optim_momentum(const OptimParams p, const float *g, const float *step, float *w, float *b) {
    const float s0 = step[p.step_at], s1 = step[p.step_at + 1], s2 = step[p.step_at + 2];
    float *const buffers[2] = {w, b};
    optim_each<2>(p, g, buffers, [&](float g, float *v) {
        g = fma_rn(p.l2, v[0], g);
        v[1] = fma_rn(s1, v[1], s2 * g);
        const float u = p.flags & NESTEROV ? fma_rn(p.beta1, v[1], g) : v[1];
        v[0] = fma_rn(-s0, u, v[0]);
    });
}

// What `adam` and `amsgrad` read from `step`.
struct AdamStep {
    float s0, s1, s2, s3, s4;
};
__device__ __forceinline__ AdamStep adam_step(const OptimParams &p, const float *step) {
    step += p.step_at;
    return {step[0], step[1], step[2], step[3], step[4]};
}

KERNEL optim_adam(const OptimParams p, const float *g, const float *step, float *w, float *m, float *v) {
    const AdamStep s = adam_step(p, step);
    const float shrink = -(s.s0 * p.decay);
    float *const buffers[3] = {w, m, v};
    optim_each<3>(p, g, buffers, [&](float g, float *v) {
        g = fma_rn(p.l2, v[0], g);
        v[1] = fma_rn(p.beta1, v[1], p.rest1 * g);
        v[2] = fma_rn(p.beta2, v[2], p.rest2 * (g * g));
        const float d = fma_rn(__fsqrt_rn(v[2]), s.s3, s.s4);
        const float u = fma_rn(s.s1, v[1], s.s2 * g);
        v[0] = fma_rn(shrink, v[0], v[0]) - u / d;
    });
}

KERNEL optim_amsgrad(const OptimParams p, const float *g, const float *step, float *w, float *m, float *v,
                     float *top) {
    const AdamStep s = adam_step(p, step);
    const float shrink = -(s.s0 * p.decay);
    float *const buffers[4] = {w, m, v, top};
    optim_each<4>(p, g, buffers, [&](float g, float *v) {
        g = fma_rn(p.l2, v[0], g);
        v[1] = fma_rn(p.beta1, v[1], p.rest1 * g);
        v[2] = fma_rn(p.beta2, v[2], p.rest2 * (g * g));
        v[3] = optim_max(v[3], v[2]);
        const float d = fma_rn(__fsqrt_rn(v[3]), s.s3, s.s4);
        const float u = fma_rn(s.s1, v[1], s.s2 * g);
        v[0] = fma_rn(shrink, v[0], v[0]) - u / d;
    });
}

KERNEL optim_adadelta(const OptimParams p, const float *g, const float *step, float *w, float *q, float *a) {
    const float s0 = step[p.step_at];
    float *const buffers[3] = {w, q, a};
    optim_each<3>(p, g, buffers, [&](float g, float *v) {
        g = fma_rn(p.l2, v[0], g);
        v[1] = fma_rn(p.beta1, v[1], p.rest1 * (g * g));
        const float u = (__fsqrt_rn(v[2] + p.eps) / __fsqrt_rn(v[1] + p.eps)) * g;
        v[2] = fma_rn(p.beta1, v[2], p.rest1 * (u * u));
        v[0] = fma_rn(-s0, u, v[0]);
    });
}

KERNEL optim_rmsprop(const OptimParams p, const float *g, const float *step, float *w, float *q) {
    const float s0 = step[p.step_at];
    float *const buffers[2] = {w, q};
    optim_each<2>(p, g, buffers, [&](float g, float *v) {
        g = fma_rn(p.l2, v[0], g);
        v[1] = fma_rn(p.beta1, v[1], p.rest1 * (g * g));
        v[0] = fma_rn(-s0, g / (__fsqrt_rn(v[1]) + p.eps), v[0]);
    });
}

KERNEL optim_adagrad(const OptimParams p, const float *g, const float *step, float *w, float *q) {
    const float s0 = step[p.step_at];
    float *const buffers[2] = {w, q};
    optim_each<2>(p, g, buffers, [&](float g, float *v) {
        g = fma_rn(p.l2, v[0], g);
        v[1] = fma_rn(g, g, v[1]);
        v[0] = fma_rn(-s0, g / (__fsqrt_rn(v[1]) + p.eps), v[0]);
    });
}

KERNEL optim_adamax(const OptimParams p, const float *g, const float *step, float *w, float *m, float *u) {
    const float s0 = step[p.step_at];
    float *const buffers[3] = {w, m, u};
    optim_each<3>(p, g, buffers, [&](float g, float *v) {
        g = fma_rn(p.l2, v[0], g);
        v[1] = fma_rn(p.beta1, v[1], p.rest1 * g);
        v[2] = optim_max(p.beta2 * v[2], float_of(bits_of(g) & 0x7fffffffu) + p.eps);
        v[0] = fma_rn(-s0, v[1] / v[2], v[0]);
    });
}

KERNEL optim_ema(const OptimParams p, const float *g, const float *step, float *w) {
    const float s0 = step[p.step_at];
    float *const buffers[1] = {w};
    optim_each<1>(p, g, buffers, [&](float g, float *v) { v[0] = fma_rn(s0, g - v[0], v[0]); });
}

ENTRY(optim_sgd)
ENTRY(optim_momentum)
ENTRY(optim_adam)
ENTRY(optim_amsgrad)
ENTRY(optim_adadelta)
ENTRY(optim_rmsprop)
ENTRY(optim_adagrad)
ENTRY(optim_adamax)
ENTRY(optim_ema)
