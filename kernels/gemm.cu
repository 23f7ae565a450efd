// Dense products: out[b,i,j] = activation((sum_k a[b,i,k] b[b,k,j] + bias[j]) + residual[b,i,j]).
// Mirror of src/reference/gemm.rs; params and buffers are those of src/kernel/gemm.rs.
//
// Buffers: a [m, k] and b [k, n] through strides, one matrix per product; bias [n]; residual and out
// [products, m, n], contiguous; partial, scratch for the totals of the chunks; arrivals, a counter per
// tile, 0 before and after.
// Order of sums: k in chunks of 256; within a chunk one fma chain per output element from +0 in
// ascending k; the chunks' totals added in ascending order, the first one taken as it is.
//
// A block computes a tile of BM x BN outputs, each thread TM x TN of them in registers. Steps of BK
// along k pass through shared memory, both operands lying there with k as the slow axis, so that a
// thread reads its rows and columns as vectors. Copies run STAGES - 1 steps ahead (cp.async on
// sm_80 and later). Whatever the strides, a tile is copied element by element with lanes along the
// axis that is contiguous, or in pieces of 16 bytes where that axis is not k and all is aligned.
// The running totals of the chunks stay in shared memory: they are touched once in 256 steps of k.
//
// Small grids are cut along k as well (split-k): a block then computes some chunks and leaves each
// total in scratch; the last block of a tile adds them in order. The roundings are the same.
//
// Geometry: x = tiles, columns fastest; y = parts of k; z = products (striding).
// targets: 70 80
// Cost: 2 m n k operations; per step of BK a block reads (BM + BN) BK elements.
#include "gemm.cuh"

// V consecutive floats of shared memory.
template <int V>
__device__ __forceinline__ void read_vector(float *to, const float *from) {
    if (V == 4) {
        float4 v = *reinterpret_cast<const float4 *>(from);
        to[0] = v.x, to[1 % V] = v.y, to[2 % V] = v.z, to[3 % V] = v.w;
    } else if (V == 2) {
        float2 v = *reinterpret_cast<const float2 *>(from);
        to[0] = v.x, to[1 % V] = v.y;
    } else {
        to[0] = from[0];
    }
}
template <int V>
__device__ __forceinline__ void write_vector(float *to, const float *from) {
    if (V == 4)
        *reinterpret_cast<float4 *>(to) = make_float4(from[0], from[1 % V], from[2 % V], from[3 % V]);
    else if (V == 2)
        *reinterpret_cast<float2 *>(to) = make_float2(from[0], from[1 % V]);
    else
        to[0] = from[0];
}

// The sums along k of one tile per block. WARPS_M x WARPS_N warps; the lanes of a warp are 4 x 8.
template <int WARPS_M, int WARPS_N, int TM, int TN, int BK_, int STAGES_>
struct Tile {
    static constexpr int BK = BK_, STAGES = STAGES_;
    static constexpr int THREADS = 32 * WARPS_M * WARPS_N;
    static constexpr int WM = 4 * TM, WN = 8 * TN;
    static constexpr int BM = WARPS_M * WM, BN = WARPS_N * WN;
    // Rows and columns of a thread come in vectors of up to 4 elements.
    static constexpr int VM = TM < 4 ? TM : 4, VN = TN < 4 ? TN : 4;
    typedef Copier<BM, BK, THREADS, 4> CopyA;
    typedef Copier<BN, BK, THREADS, 4> CopyB;
    static constexpr int STEP_A = BK * CopyA::STRIDE, STEP = STEP_A + BK * CopyB::STRIDE;
    static constexpr int TOTAL_STRIDE = BN + 4;
    // Words of shared memory; src/cuda/gemm.rs says the same.
    static constexpr int SHARED_WORDS = STAGES * STEP + BM * TOTAL_STRIDE;

    float acc[TM][TN];
    // This thread's first row and column of the tile.
    u32 row, col;

    __device__ __forceinline__ Tile() {
        u32 warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        // A quarter of a warp reads two vectors of rows and four of columns: no bank conflicts.
        u32 lane_m = (lane & 1) | (lane >> 4) << 1, lane_n = lane >> 1 & 7;
        row = warp / WARPS_N * WM + lane_m * VM;
        col = warp % WARPS_N * WN + lane_n * VN;
        clear();
    }

    __device__ __forceinline__ void clear() {
#pragma unroll
        for (int i = 0; i < TM; ++i)
#pragma unroll
            for (int j = 0; j < TN; ++j) acc[i][j] = 0.0f;
    }

    // Row i of this thread, in the tile.
    __device__ __forceinline__ u32 row_of(int i) const { return row + i / VM * (4 * VM) + i % VM; }
    // First column of its j-th vector.
    __device__ __forceinline__ u32 col_of(int j) const { return col + j * (8 * VN); }

    __device__ __forceinline__ void read(float *x, float *y, const float *step, int k) const {
        const float *rows = step + k * CopyA::STRIDE + row, *cols = step + STEP_A + k * CopyB::STRIDE + col;
#pragma unroll
        for (int i = 0; i < TM / VM; ++i) read_vector<VM>(x + i * VM, rows + i * (4 * VM));
#pragma unroll
        for (int j = 0; j < TN / VN; ++j) read_vector<VN>(y + j * VN, cols + j * (8 * VN));
    }
    __device__ __forceinline__ void multiply(const float *x, const float *y) {
#pragma unroll
        for (int i = 0; i < TM; ++i)
#pragma unroll
            for (int j = 0; j < TN; ++j) acc[i][j] = __fmaf_rn(x[i], y[j], acc[i][j]);
    }

    // A whole step of BK along k.
    __device__ __forceinline__ void whole_step(const float *step) {
        float x[2][TM], y[2][TN];
        read(x[0], y[0], step, 0);
#pragma unroll
        for (int k = 0; k < BK; ++k) {
            if (k + 1 < BK) read(x[(k + 1) % 2], y[(k + 1) % 2], step, k + 1);
            multiply(x[k % 2], y[k % 2]);
        }
    }
    // The last step, of `depth` < BK. A zero in place of what is missing would turn -0 into +0.
    __device__ __forceinline__ void part_step(const float *step, u32 depth) {
#pragma unroll 1
        for (u32 k = 0; k < depth; ++k) {
            float x[TM], y[TN];
            read(x, y, step, k);
            multiply(x, y);
        }
    }

    // totals = acc, or totals + acc.
    __device__ __forceinline__ void fold(float *totals, bool first) {
#pragma unroll
        for (int i = 0; i < TM; ++i)
#pragma unroll
            for (int j = 0; j < TN / VN; ++j) {
                float *at = totals + row_of(i) * TOTAL_STRIDE + col_of(j);
                if (!first) {
                    float sum[VN];
                    read_vector<VN>(sum, at);
#pragma unroll
                    for (int v = 0; v < VN; ++v) acc[i][j * VN + v] = __fadd_rn(sum[v], acc[i][j * VN + v]);
                }
                write_vector<VN>(at, acc[i] + j * VN);
            }
        clear();
    }

    // One chunk's totals to scratch, [BM][BN].
    __device__ __forceinline__ void put(float *partial) {
#pragma unroll
        for (int i = 0; i < TM; ++i)
#pragma unroll
            for (int j = 0; j < TN / VN; ++j)
                write_vector<VN>(partial + row_of(i) * BN + col_of(j), acc[i] + j * VN);
        clear();
    }
};

template <class T>
__device__ __forceinline__ void tile_kernel(
    const GemmParams &p, const float *a, const float *b, const float *bias, const float *residual,
    float *out, float *partial, u32 *arrivals, u32 copies, u32 chunks_per_part) {
    SHARED(float, shared);
    float *totals = shared + T::STAGES * T::STEP;
    u32 across = (p.n + T::BN - 1) / T::BN;
    u32 first_row = blockIdx.x / across * T::BM, first_col = blockIdx.x % across * T::BN;
    u32 rows = min(p.m - first_row, (u32)T::BM), cols = min(p.n - first_col, (u32)T::BN);
    bool edge = rows < T::BM || cols < T::BN;
    // This block's part of k.
    bool parted = gridDim.y > 1;
    u32 chunk = blockIdx.y * chunks_per_part;
    u32 from = chunk * K_CHUNK;
    u32 depth = parted ? min(p.k - from, chunks_per_part * K_CHUNK) : p.k;
    u32 steps = depth / T::BK, rest = depth % T::BK;
    u32 products = p.batch[0] * p.batch[1] * p.batch[2] * p.batch[3];
    u32 chunks = (p.k + K_CHUNK - 1) / K_CHUNK;

    for (u32 product = blockIdx.z; product < products; product += gridDim.z) {
        T tile;
        u64 place = (u64)product * gridDim.x + blockIdx.x;
        float *left = partial + place * chunks * (T::BM * T::BN);
        typename T::CopyA copy_a;
        typename T::CopyB copy_b;
        copy_a.begin(a + start(p.a, p.batch, product) + (i64)first_row * p.a.row + (i64)from * p.a.col,
                     p.a.row, p.a.col, rows, copies & 3);
        copy_b.begin(b + start(p.b, p.batch, product) + (i64)first_col * p.b.col + (i64)from * p.b.row,
                     p.b.col, p.b.row, cols, copies >> 2 & 3);
        // Step s, if there is one; always ends a group.
        auto copy = [&](u32 s, u32 slot) {
            float *to = shared + slot * T::STEP;
            if (s < steps && !edge) {
                copy_a.template step<false>(to, T::BK);
                copy_b.template step<false>(to + T::STEP_A, T::BK);
            } else if (s * T::BK < depth) {
                copy_a.template step<true>(to, depth - s * T::BK);
                copy_b.template step<true>(to + T::STEP_A, depth - s * T::BK);
            }
            copies_end_group();
        };
        u32 slot = 0, ahead = 0;
        bool first = true;
        u32 total = steps + (rest != 0);
        // Step `to_copy` is copied, and the one STAGES - 1 before it computed.
#pragma unroll 1
        for (u32 to_copy = 0; to_copy < total + T::STAGES - 1; ++to_copy) {
            bool computes = to_copy >= T::STAGES - 1;
            if (computes) {
                copies_wait<T::STAGES - 2>();
                __syncthreads();
            }
            copy(to_copy, ahead);
            ahead = ahead + 1 == T::STAGES ? 0 : ahead + 1;
            if (!computes) continue;
            u32 s = to_copy - (T::STAGES - 1);
            if (s < steps)
                tile.whole_step(shared + slot * T::STEP);
            else
                tile.part_step(shared + slot * T::STEP, rest);
            slot = slot + 1 == T::STAGES ? 0 : slot + 1;
            if ((s + 1) % (K_CHUNK / T::BK) != 0 && s + 1 != total) continue;
            if (parted) {
                tile.put(left + (u64)chunk++ * (T::BM * T::BN));
            } else {
                tile.fold(totals, first);
                first = false;
            }
        }
        u64 corner = ((u64)product * p.m + first_row) * p.n + first_col;
        if (parted) {
            if (last_to_arrive(arrivals + place, gridDim.y)) {
#pragma unroll 1
                for (u32 e = threadIdx.x; e < T::BM * T::BN / 4; e += T::THREADS) {
                    u32 i = e / (T::BN / 4), j = e % (T::BN / 4) * 4;
                    if (i >= rows || j >= cols) continue;
                    float sum[4], next[4];
                    read_fresh(sum, left + 4 * e);
#pragma unroll 4
                    for (u32 c = 1; c < chunks; ++c) {
                        read_fresh(next, left + 4 * e + (u64)c * (T::BM * T::BN));
#pragma unroll
                        for (int v = 0; v < 4; ++v) sum[v] = __fadd_rn(sum[v], next[v]);
                    }
#pragma unroll 1
                    for (u32 v = 0; v < 4 && j + v < cols; ++v) {
                        float x = v == 0 ? sum[0] : v == 1 ? sum[1] : v == 2 ? sum[2] : sum[3];
                        u64 at = corner + (u64)i * p.n + j + v;
                        out[at] = finished(p, bias, residual, x, first_col + j + v, at);
                    }
                }
            }
        } else {
            if (total == 0) tile.fold(totals, true);
            __syncthreads();
#pragma unroll 1
            for (u32 e = threadIdx.x; e < T::BM * T::BN; e += T::THREADS) {
                u32 i = e / T::BN, j = e % T::BN;
                if (i >= rows || j >= cols) continue;
                u64 at = corner + (u64)i * p.n + j;
                out[at] = finished(p, bias, residual, totals[i * T::TOTAL_STRIDE + j], first_col + j, at);
            }
        }
        // The next product overwrites the steps and the totals.
        __syncthreads();
    }
}

#define TILE_KERNEL(name, blocks, ...)                                                            \
    KERNEL __launch_bounds__(Tile<__VA_ARGS__>::THREADS, blocks)                                  \
    name(const GemmParams p, const float *__restrict__ a, const float *__restrict__ b,            \
         const float *__restrict__ bias, const float *__restrict__ residual, float *__restrict__ out, \
         float *__restrict__ partial, u32 *__restrict__ arrivals, u32 copies, u32 chunks_per_part) { \
        tile_kernel<Tile<__VA_ARGS__>>(                                                           \
            p, a, b, bias, residual, out, partial, arrivals, copies, chunks_per_part);            \
    }                                                                                             \
    ENTRY(name)

// Rows x columns of the tile; blocks per multiprocessor; warps, elements per thread, BK, STAGES.
TILE_KERNEL(gemm_128x128, 2, 4, 2, 8, 8, 16, 2)
TILE_KERNEL(gemm_64x64, 4, 2, 2, 8, 4, 16, 3)
TILE_KERNEL(gemm_32x64, 4, 2, 2, 4, 4, 16, 4)
TILE_KERNEL(gemm_32x32, 4, 2, 2, 4, 2, 32, 4)
