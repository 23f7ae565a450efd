// Dense products on tensor cores: the function of gemm.cu with inputs rounded to TF32 or bf16 and other
// orders of sums. Only for `--math fast` and `--math bf16`. The same call on the same kind of device
// gives the same bits again.
//
// Buffers and params: those of gemm.cu; partial, scratch for the totals of the parts of k; arrivals, a
// counter per tile, 0 before and after.
//
// A block computes a tile of BM x BN outputs, each of its warps WM x WN of them. Steps of BK along k
// pass through shared memory in f32, k being the slow axis, copied ahead as in gemm.cu; they are rounded
// when a thread reads them for its tensor core. Which 8 of the rows (columns) of the warp's tile one
// instruction takes is free: such that a thread reads four neighbours at a time. Past the end of k lie
// zeros. Small grids are cut along k; the last block of a tile adds the parts in ascending order.
//
// Error: (2 u + u^2 + (k + 8) 2^-23) sum_k |a| |b| before the epilogue, u = 2^-11 for TF32 and 2^-8 for
// bf16. An input that rounds past the largest number becomes infinite.
// Geometry: x = tiles, columns fastest; y = parts of k; z = products (striding).
// targets: 80
// Cost: 2 m n k operations; per step of BK a block reads (BM + BN) BK elements.
#include "fast.cuh"
#include "mma.cuh"

// The sums along k of one tile per block. P is the precision; 2 x WARPS_N warps, whose
// tiles are MI x NI instructions.
template <class P, int WARPS_N, int MI, int NI, int STAGES_>
struct FastTile {
    static constexpr int BK = 16, STAGES = STAGES_;
    static constexpr int THREADS = 64 * WARPS_N;
    static constexpr int WM = 16 * MI, WN = 8 * NI;
    static constexpr int BM = 2 * WM, BN = WARPS_N * WN;
    // Lanes (g, t) read vectors at t * STRIDE + 4 * g: with 8 words of padding every quarter of a warp
    // reads all banks once.
    typedef Copier<BM, BK, THREADS, 8> CopyA;
    typedef Copier<BN, BK, THREADS, 8> CopyB;
    static constexpr int STEP_A = BK * CopyA::STRIDE, STEP = STEP_A + BK * CopyB::STRIDE;
    static constexpr int TOTAL_STRIDE = BN + 4;
    // At the end the totals lie where the steps were. src/cuda/gemm_fast.rs says the same.
    static_assert(STAGES * STEP >= BM * TOTAL_STRIDE, "shared memory");
    static_assert(MI % 2 == 0 && NI % 4 == 0, "vectors of 4");

    float acc[MI][NI][4];
    // This thread's first row and column of the tile, of those that it reads; and t of (g, t).
    u32 row, col, t;

    __device__ __forceinline__ FastTile() {
        u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        t = lane % 4;
        row = warp / WARPS_N * WM + lane / 4 * 4;
        col = warp % WARPS_N * WN + lane / 4 * 4;
#pragma unroll
        for (int i = 0; i < MI; ++i)
#pragma unroll
            for (int j = 0; j < NI; ++j)
#pragma unroll
                for (int e = 0; e < 4; ++e) acc[i][j][e] = 0.0f;
    }

    // Registers of R rows (or columns) for one instruction's k: packed[R][2].
    template <int R>
    __device__ __forceinline__ void read(u32 (*packed)[2], const float *from, int stride) const {
#pragma unroll
        for (int v = 0; v < R / 4; ++v)
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                float x[4][P::PACKED];
#pragma unroll
                for (int k = 0; k < P::PACKED; ++k) {
                    int at = 4 * (half * P::PACKED + k) * stride + 32 * v;
                    float4 read = *reinterpret_cast<const float4 *>(from + at);
                    x[0][k] = read.x, x[1][k] = read.y, x[2][k] = read.z, x[3][k] = read.w;
                }
#pragma unroll
                for (int r = 0; r < 4; ++r) packed[4 * v + r][half] = P::pack(x[r]);
            }
    }

    // A step along k; what lies between `depth` and the next multiple of P::K is zero.
    __device__ __forceinline__ void step(const float *step, u32 depth) {
#pragma unroll
        for (int k = 0; k < BK; k += P::K) {
            if (k >= depth) break;
            u32 rows[4][2], cols[NI][2];
            read<NI>(cols, step + STEP_A + (k + t) * CopyB::STRIDE + col, CopyB::STRIDE);
#pragma unroll
            for (int i = 0; i < MI; ++i) {
                if (i % 2 == 0) read<4>(rows, step + (k + t) * CopyA::STRIDE + row + 16 * i, CopyA::STRIDE);
                u32 *upper = rows[i % 2 * 2], *lower = rows[i % 2 * 2 + 1];
                u32 a[4] = {upper[0], lower[0], upper[1], lower[1]};
#pragma unroll
                for (int j = 0; j < NI; ++j) P::multiply(acc[i][j], a, cols[j]);
            }
        }
    }

    // Zeros in a step from `depth` on, up to the next multiple of P::K.
    static __device__ __forceinline__ void pad(float *step, u32 depth) {
        u32 missing = (P::K - depth % P::K) % P::K;
        for (u32 e = threadIdx.x; e < missing * CopyA::STRIDE; e += THREADS) step[depth * CopyA::STRIDE + e] = 0.0f;
        for (u32 e = threadIdx.x; e < missing * CopyB::STRIDE; e += THREADS)
            step[STEP_A + depth * CopyB::STRIDE + e] = 0.0f;
    }

    // A thread's sums, four neighbours at a time: how many times, and where in the tile they are. Column
    // c of instruction j is column 4 c + j % 4 of 32, and c = 2 t, 2 t + 1 are this thread's.
    static constexpr int QUADS = 4 * MI * NI / 4;
    __device__ __forceinline__ float4 quad(int n) const {
        int r = n / (NI / 2), j = n % (NI / 2) / 2 * 4, e = r % 2 * 2 + n % 2;
        const float(*x)[4] = acc[r / 2] + j;
        return make_float4(x[0][e], x[1][e], x[2][e], x[3][e]);
    }
    __device__ __forceinline__ u32 place(u32 n) const {
        u32 r = n / (NI / 2), v = n % (NI / 2) / 2, h = n % 2;
        return (row + r / 4 * 32 + r % 4) * TOTAL_STRIDE + col / WN * WN + 32 * v + 8 * t + 4 * h;
    }

    __device__ __forceinline__ void lay(float *totals, u32 n, float4 sums) const {
        *reinterpret_cast<float4 *>(totals + place(n)) = sums;
    }
};

template <class T>
__device__ __forceinline__ void fast_kernel(
    const GemmParams &p, const float *a, const float *b, const float *bias, const float *residual,
    float *out, float *partial, u32 *arrivals, u32 copies, u32 chunks_per_part) {
    SHARED(float, shared);
    u32 across = (p.n + T::BN - 1) / T::BN;
    u32 first_row = blockIdx.x / across * T::BM, first_col = blockIdx.x % across * T::BN;
    u32 rows = min(p.m - first_row, (u32)T::BM), cols = min(p.n - first_col, (u32)T::BN);
    bool edge = rows < T::BM || cols < T::BN;
    // This block's part of k.
    u32 parts = gridDim.y;
    u32 from = blockIdx.y * chunks_per_part * K_CHUNK;
    u32 depth = parts > 1 ? min(p.k - from, chunks_per_part * K_CHUNK) : p.k;
    u32 steps = (depth + T::BK - 1) / T::BK;
    u32 products = p.batch[0] * p.batch[1] * p.batch[2] * p.batch[3];

    for (u32 product = blockIdx.z; product < products; product += gridDim.z) {
        T tile;
        typename T::CopyA copy_a;
        typename T::CopyB copy_b;
        copy_a.begin(a + start(p.a, p.batch, product) + (i64)first_row * p.a.row + (i64)from * p.a.col,
                     p.a.row, p.a.col, rows, copies & 3);
        copy_b.begin(b + start(p.b, p.batch, product) + (i64)first_col * p.b.col + (i64)from * p.b.row,
                     p.b.col, p.b.row, cols, copies >> 2 & 3);
        // Step `to_copy` is copied, and the one STAGES - 1 before it computed.
#pragma unroll 1
        for (u32 to_copy = 0; to_copy < steps + T::STAGES - 1; ++to_copy) {
            bool computes = to_copy >= T::STAGES - 1;
            if (computes) {
                copies_wait<T::STAGES - 2>();
                __syncthreads();
            }
            if (to_copy < steps) {
                float *to = shared + to_copy % T::STAGES * T::STEP;
                u32 left = depth - to_copy * T::BK;
                if (left >= T::BK && !edge) {
                    copy_a.template step<false>(to, T::BK);
                    copy_b.template step<false>(to + T::STEP_A, T::BK);
                } else {
                    copy_a.template step<true>(to, left);
                    copy_b.template step<true>(to + T::STEP_A, left);
                }
            }
            copies_end_group();
            if (!computes) continue;
            float *step = shared + (to_copy + 1) % T::STAGES * T::STEP;
            u32 left = min(depth - (to_copy - (T::STAGES - 1)) * T::BK, (u32)T::BK);
            if (left < T::BK) {
                T::pad(step, left);
                __syncthreads();
            }
            tile.step(step, left);
        }
        Totals<T>::finish(tile, p, bias, residual, out, partial, arrivals, shared, product, first_row, first_col);
    }
}

#define FAST_KERNEL(name, blocks, ...)                                                            \
    KERNEL __launch_bounds__(FastTile<__VA_ARGS__>::THREADS, blocks)                              \
    name(const GemmParams p, const float *__restrict__ a, const float *__restrict__ b,            \
         const float *__restrict__ bias, const float *__restrict__ residual, float *__restrict__ out, \
         float *__restrict__ partial, u32 *__restrict__ arrivals, u32 copies, u32 chunks_per_part) { \
        fast_kernel<FastTile<__VA_ARGS__>>(                                                       \
            p, a, b, bias, residual, out, partial, arrivals, copies, chunks_per_part);            \
    }                                                                                             \
    ENTRY(name)

// Rows x columns of the tile; blocks per multiprocessor; precision, warps across, instructions of a
// warp, STAGES.
FAST_KERNEL(gemm_tf32_128x128, 2, Tf32, 2, 4, 8, 4)
FAST_KERNEL(gemm_tf32_64x64, 4, Tf32, 2, 2, 4, 4)
FAST_KERNEL(gemm_bf16_128x128, 2, Bf16, 2, 4, 8, 4)
FAST_KERNEL(gemm_bf16_64x64, 4, Bf16, 2, 2, 4, 4)
