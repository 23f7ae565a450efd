// What the strict and the fast products share: params, how operands come into shared memory, what
// happens to a sum. Mirror of src/kernel/gemm.rs.
#pragma once

#include "epilogue.cuh"
#include "tiles.cuh"

struct Operand {
    i32 batch[4];
    i32 row;
    i32 col;
    u32 offset;
};
struct GemmParams {
    u32 batch[4];
    u32 m;
    u32 n;
    u32 k;
    Operand a;
    Operand b;
    u32 residual;
    u32 residual_offset;
    Epilogue epilogue;
};
static_assert(sizeof(GemmParams) == 108, "kernel::gemm::GemmParams");

// How an operand is copied; bits of the plan's word (src/cuda/gemm.rs): `a` in bits 0-1, `b` in 2-3.
#define LANES_ALONG_ROWS 0u  // lanes along m (or n)
#define LANES_ALONG_K 1u
#define PIECES 2u  // 16 bytes at a time, along m (or n)

// Index of element 0, 0 of product `b`.
__device__ __forceinline__ i64 start(const Operand &o, const u32 *shape, u32 b) {
    i64 at = o.offset;
#pragma unroll
    for (int d = 3; d >= 0; --d) {
        if (shape[d] == 1) continue;
        u32 rest = b / shape[d];
        at += (i64)(b - rest * shape[d]) * o.batch[d];
        b = rest;
    }
    return at;
}

// Copies steps of ROWS x BK elements of an operand into shared memory, as [k][row], a row of which is
// ROWS + PAD words long; how threads read them says which PAD meets no bank conflict.
template <int ROWS, int BK, int THREADS, int PAD>
struct Copier {
    static constexpr int STRIDE = ROWS + PAD;
    static constexpr int K_LANES = 8;
    static constexpr int K_ROWS = THREADS / K_LANES;
    static constexpr int FLAT = THREADS / ROWS;
    static constexpr int PIECE = THREADS / (ROWS / 4);

    // This thread's first element of the next step.
    const float *from;
    i64 row_stride, k_stride;
    // Its place in a step, and how many rows from there on exist.
    u32 row, k;
    i32 rows;
    u32 mode;

    __device__ __forceinline__ void begin(
        const float *origin, i64 row_stride_, i64 k_stride_, u32 rows_, u32 mode_) {
        row_stride = row_stride_;
        k_stride = k_stride_;
        mode = mode_;
        u32 t = threadIdx.x;
        if (mode == LANES_ALONG_K) {
            row = t / K_LANES;
            k = t % K_LANES;
        } else if (mode == PIECES) {
            row = t % (ROWS / 4) * 4;
            k = t / (ROWS / 4);
        } else {
            row = t % ROWS;
            k = t / ROWS;
        }
        rows = (i32)rows_ - (i32)row;
        from = origin + row * row_stride + k * k_stride;
    }

    // EDGE: rows past `rows` and k from `depth` on do not exist. They are left as they are: what
    // they spoil is not written, and no chain runs past the end of k.
    template <bool EDGE>
    __device__ __forceinline__ void step(float *tile, u32 depth) {
        float *to = tile + k * STRIDE + row;
        if (mode == LANES_ALONG_K) {
#pragma unroll
            for (int j = 0; j < BK / K_LANES; ++j) {
                const float *at = from + j * K_LANES * k_stride;
#pragma unroll
                for (int i = 0; i < ROWS / K_ROWS; ++i) {
                    if (!EDGE || (i * K_ROWS < rows && k + j * K_LANES < depth))
                        copy_element(to + j * K_LANES * STRIDE + i * K_ROWS, at);
                    at += K_ROWS * row_stride;
                }
            }
        } else if (mode == PIECES) {
            const float *at = from;
#pragma unroll
            for (int j = 0; j < (BK + PIECE - 1) / PIECE; ++j) {
                if (PIECE * (j + 1) > BK && k + j * PIECE >= BK) break;
                if (!EDGE)
                    copy_piece(to + j * PIECE * STRIDE, at);
                else if (rows > 0 && k + j * PIECE < depth)
                    copy_part(to + j * PIECE * STRIDE, at, rows < 4 ? rows : 4);
                at += PIECE * k_stride;
            }
        } else {
            const float *at = from;
#pragma unroll
            for (int j = 0; j < BK / FLAT; ++j) {
                if (!EDGE || (rows > 0 && k + j * FLAT < depth)) copy_element(to + j * FLAT * STRIDE, at);
                at += FLAT * k_stride;
            }
        }
        from += BK * k_stride;
    }
};

// The epilogue of one element: the sum, its column, its index in the output.
__device__ __forceinline__ float finished(
    const GemmParams &p, const float *bias, const float *residual, float sum, u32 j, u64 at) {
    if (p.epilogue.bias) sum = __fadd_rn(sum, bias[(u64)p.epilogue.bias_offset + j]);
    if (p.residual) sum = __fadd_rn(sum, residual[p.residual_offset + at]);
    return activate(p.epilogue, sum);
}
