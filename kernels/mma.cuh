// Products of small matrices by a warp's tensor cores: inputs rounded to TF32 or bf16, sums in f32. Needs
// compute_80; beside each instruction a plain form for the host, lanes and registers as on the device.
//
// The lanes of a warp are (g, t) = (lane / 4, lane % 4). One instruction adds to c [16, 8] the product of
// a [16, K] and b [K, 8]. Which k a register belongs to does not matter as long as `a` and `b` agree, so
// that lane (g, t) loads k = t, t + 4, ..., t + K - 4 from both, of row g and g + 8 of `a` and of column
// g of `b`; `pack` puts them where the instruction wants them:
//   a: registers [K / 8][2], as [pair of k][row g or g + 8]; the plain order is a[2 * i + h]
//   b: registers [2], as [pair of k]
//   c: rows g, g, g + 8, g + 8, columns 2t, 2t + 1, 2t, 2t + 1
#pragma once

#include "common.cuh"

#ifndef __CUDACC__
// The registers of all lanes, for the host's forms.
struct Lanes {
    u32 of[32];
    Lanes(u32 mine, int line) {
        const uint64_t *all = shim::warp_exchange(0xffffffffu, mine, line);
        for (int l = 0; l < 32; ++l) of[l] = (u32)all[l];
    }
};
#endif

// 8 bits of exponent and 10 of fraction, rounded to nearest, ties away from 0.
struct Tf32 {
    static constexpr int K = 8;
    // Elements of k in a register, and registers per row of `a` and of `b`.
    static constexpr int PACKED = 1;

    static __device__ __forceinline__ u32 pack(const float *x) {
        u32 r;
#ifdef __CUDA_ARCH__
        asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x[0]));
#else
        r = bits_of(x[0]);
        if ((r & 0x7f800000u) != 0x7f800000u) r += 0x1000u;
        r = is_nan(x[0]) ? 0x7fffffffu : r & 0xffffe000u;
#endif
        return r;
    }

    static __device__ __forceinline__ void multiply(float *c, const u32 *a, const u32 *b) {
#ifdef __CUDA_ARCH__
        asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
            "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
        // Register r of lane (g, t): row g + 8 (r % 2), k = t + 4 (r / 2).
        const Lanes as[4] = {{a[0], __LINE__}, {a[1], __LINE__}, {a[2], __LINE__}, {a[3], __LINE__}};
        const Lanes bs[2] = {{b[0], __LINE__}, {b[1], __LINE__}};
        u32 g = shim::lane() / 4, t = shim::lane() % 4;
        for (u32 e = 0; e < 4; ++e)
            for (u32 k = 0; k < 8; ++k) {
                u32 x = as[k / 4 * 2 + e / 2].of[g * 4 + k % 4];
                u32 y = bs[k / 4].of[(2 * t + e % 2) * 4 + k % 4];
                multiply_add(c[e], x, y);
            }
#endif
    }

#ifndef __CUDACC__
    // Adds the products of what two registers hold; tensor cores ignore the last 13 bits.
    static void multiply_add(float &c, u32 x, u32 y) {
        c = __fmaf_rn(float_of(x & 0xffffe000u), float_of(y & 0xffffe000u), c);
    }
#endif
};

// 8 bits of exponent and 7 of fraction, rounded to nearest, ties to even; two in a register.
struct Bf16 {
    static constexpr int K = 16;
    static constexpr int PACKED = 2;

#ifndef __CUDACC__
    static u32 rounded(float x) {
        u32 r = bits_of(x);
        return is_nan(x) ? 0x7fffu : (r + 0x7fffu + (r >> 16 & 1)) >> 16;
    }
#endif

    static __device__ __forceinline__ u32 pack(const float *x) {
#ifdef __CUDA_ARCH__
        u32 r;
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(x[1]), "f"(x[0]));
        return r;
#else
        return rounded(x[1]) << 16 | rounded(x[0]);
#endif
    }

    static __device__ __forceinline__ void multiply(float *c, const u32 *a, const u32 *b) {
#ifdef __CUDA_ARCH__
        asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
            "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
            : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
        // Register r of lane (g, t): row g + 8 (r % 2), k = 2 t + 8 (r / 2) in its lower half, the next
        // one in its upper half.
        const Lanes as[4] = {{a[0], __LINE__}, {a[1], __LINE__}, {a[2], __LINE__}, {a[3], __LINE__}};
        const Lanes bs[2] = {{b[0], __LINE__}, {b[1], __LINE__}};
        u32 g = shim::lane() / 4, t = shim::lane() % 4;
        for (u32 e = 0; e < 4; ++e)
            for (u32 k = 0; k < 8; ++k) {
                u32 x = as[k / 4 * 2 + e / 2].of[g * 4 + k % 4];
                u32 y = bs[k / 4].of[(2 * t + e % 2) * 4 + k % 4];
                multiply_add(c[e], x, y);
            }
#endif
    }

#ifndef __CUDACC__
    // Adds the products of what two registers hold, the lower halves first.
    static void multiply_add(float &c, u32 x, u32 y) {
        c = __fmaf_rn(float_of(x << 16), float_of(y << 16), c);
        c = __fmaf_rn(float_of(x & 0xffff0000u), float_of(y & 0xffff0000u), c);
    }
#endif
};
