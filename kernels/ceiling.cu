// What a device can do at most: fused multiply-adds in registers. No family of src/kernel, since nothing
// is computed with it: `cytograd bench` shows other kernels' rates beside it.
//
// out[i] = ((v0 + v1) + ...) + v7 after `steps` times v_j = fma(v_j, a, b), from v_j = i + j.
// Launch: one element per thread. 16 operations per element and step.
#include "common.cuh"

struct CeilingParams {
    u32 n, steps;
    float a, b;
};
static_assert(sizeof(CeilingParams) == 16, "cuda::ceiling::CeilingParams");

KERNEL ceiling_fma(const CeilingParams p, float *out) {
    SWEEP(i, p.n) {
        float v[8];
#pragma unroll
        for (int j = 0; j < 8; ++j) v[j] = __fadd_rn((float)(u32)i, (float)j);
        for (u32 s = 0; s < p.steps; s += 16) {
#pragma unroll
            for (int k = 0; k < 16; ++k) {
#pragma unroll
                for (int j = 0; j < 8; ++j) v[j] = __fmaf_rn(v[j], p.a, p.b);
            }
        }
        float sum = v[0];
#pragma unroll
        for (int j = 1; j < 8; ++j) sum = __fadd_rn(sum, v[j]);
        out[i] = sum;
    }
}

ENTRY(ceiling_fma)
