// Dense products by warp groups' tensor cores: what gemm_fast.cu computes, with the same rounding of inputs
// and the same bound of the error, on capability 9.0 alone. The runtime takes these kernels on a device
// only after a product of theirs was compared with one of gemm_fast.cu there (src/cuda/warpgroup.rs).
//
// Buffers, params and scratch: those of gemm_fast.cu. layouts: how `a` (bits 0-1) and `b` (bits 2-3) lie.
//
// A block computes 64 GROUPS x 128 outputs, each warp group 64 rows of them. Steps of 128 bytes of k pass
// through two places in shared memory. While the tensor cores work on one step, the next is read into
// registers, rounded and written to the other place (wgmma.cuh says how it lies there). Rows, columns and
// k past the end are zero.
//
// Geometry: x = tiles, columns fastest; y = parts of k; z = products (striding).
// targets: 90a
// Cost: 2 m n k operations; per element of k a block reads 64 GROUPS + 128 elements.
#include "fast.cuh"
#include "wgmma.cuh"

// How lanes read an operand.
#define ALONG_ROWS 0u
#define ALONG_K_ONE_BY_ONE 1u
#define ALONG_K_BY_FOUR 2u  // 16 bytes at a time

// Reads steps of ROWS rows of an operand, and writes them to a tile.
template <class P, int ROWS, int THREADS>
struct Loader {
    // Elements of a piece of 16 bytes, in a step, and pieces of a thread.
    static constexpr int ELEMENTS = 4 * P::PACKED;
    static constexpr int BK = 8 * ELEMENTS;
    static constexpr int OWN = ROWS * 8 / THREADS;

    const float *from;
    i64 row_stride, k_stride;
    // This thread's first piece, and from there to the next one.
    u32 row, piece, rows_on, pieces_on;
    u32 rows, layout;
    float x[OWN][ELEMENTS];

    __device__ __forceinline__ void begin(
        const float *origin, i64 row_stride_, i64 k_stride_, u32 rows_, u32 layout_) {
        row_stride = row_stride_, k_stride = k_stride_, rows = rows_, layout = layout_;
        u32 t = threadIdx.x;
        if (layout == ALONG_ROWS)
            row = t % ROWS, piece = t / ROWS, rows_on = 0, pieces_on = THREADS / ROWS;
        else
            row = t / 8, piece = t % 8, rows_on = THREADS / 8, pieces_on = 0;
        from = origin + row * row_stride + piece * ELEMENTS * k_stride;
    }

    // The first step, straight to its tile; `depth` elements of k exist.
    __device__ __forceinline__ void bring(unsigned char *tile, u32 depth) {
        i64 on = rows_on * row_stride + pieces_on * ELEMENTS * k_stride;
#pragma unroll 1
        for (u32 u = 0; u < OWN; ++u) {
            const float *at = from + u * on;
            u32 k = (piece + u * pieces_on) * ELEMENTS;
            u32 count = row + u * rows_on < rows && k < depth ? depth - k : 0;
            float of[ELEMENTS];
#pragma unroll
            for (int e = 0; e < ELEMENTS; ++e) of[e] = e < count ? at[e * k_stride] : 0.0f;
            put(tile, u, of);
        }
        from += BK * k_stride;
    }

    // The next step, of which `left` elements of k exist; whole: and all rows.
    __device__ __forceinline__ void load(u32 left, bool whole) {
        const float *at = from;
        i64 on = rows_on * row_stride + pieces_on * ELEMENTS * k_stride;
        if (whole && layout == ALONG_K_BY_FOUR) {
#pragma unroll
            for (int u = 0; u < OWN; ++u, at += on)
#pragma unroll
                for (int e = 0; e < ELEMENTS; e += 4) {
                    float4 read = *reinterpret_cast<const float4 *>(at + e);
                    x[u][e] = read.x, x[u][e + 1] = read.y, x[u][e + 2] = read.z, x[u][e + 3] = read.w;
                }
        } else {
#pragma unroll
            for (int u = 0; u < OWN; ++u, at += on) {
                u32 k = (piece + u * pieces_on) * ELEMENTS;
                u32 count = row + u * rows_on < rows && k < left ? left - k : 0;
#pragma unroll
                for (int e = 0; e < ELEMENTS; ++e) x[u][e] = e < count ? at[e * k_stride] : 0.0f;
            }
        }
        from += BK * k_stride;
    }

    __device__ __forceinline__ void store(unsigned char *tile) const {
#pragma unroll
        for (int u = 0; u < OWN; ++u) put(tile, u, x[u]);
    }

    __device__ __forceinline__ void put(unsigned char *tile, u32 u, const float *of) const {
        u32 words[4];
#pragma unroll
        for (int w = 0; w < 4; ++w) words[w] = P::pack(of + w * P::PACKED);
        u32 at = swizzled(row + u * rows_on, piece + u * pieces_on);
        *reinterpret_cast<uint4 *>(tile + at) = make_uint4(words[0], words[1], words[2], words[3]);
    }
};

template <class P_, int GROUPS>
struct GroupTile {
    typedef P_ P;
    static constexpr int THREADS = 128 * GROUPS, BM = 64 * GROUPS, BN = 128;
    typedef Loader<P, BM, THREADS> LoadA;
    typedef Loader<P, BN, THREADS> LoadB;
    static constexpr int BK = LoadA::BK;
    // Bytes of a step. At the end the totals lie where the steps were. src/cuda/gemm_fast.rs says the same.
    static constexpr int STEP = (BM + BN) * ROW_BYTES;
    static constexpr int TOTAL_STRIDE = BN + 4;
    static constexpr int QUADS = 16;

    WarpGroup<P> sums;

    // Sends off the products of a step that starts at this address.
    __device__ __forceinline__ void send(u32 step) {
        u64 a = tile_at(step + threadIdx.x / 128 * 64 * ROW_BYTES), b = tile_at(step + BM * ROW_BYTES);
        sums.begin();
#pragma unroll
        for (int k = 0; k < 4; ++k) sums.multiply(a + k * ALONG_K, b + k * ALONG_K);
        sums.sent();
    }

    __device__ __forceinline__ float4 quad(int n) const {
        const float *d = sums.d + 4 * n;
        return make_float4(d[0], d[1], d[2], d[3]);
    }
    __device__ __forceinline__ void lay(float *totals, u32 n, float4 sums) const {
        u32 lane = threadIdx.x % 32, row = threadIdx.x / 32 * 16 + lane / 4;
        float *to = totals + row * TOTAL_STRIDE + 8 * n + 2 * (lane % 4);
        *reinterpret_cast<float2 *>(to) = make_float2(sums.x, sums.y);
        *reinterpret_cast<float2 *>(to + 8 * TOTAL_STRIDE) = make_float2(sums.z, sums.w);
    }
};

template <class T>
__device__ __forceinline__ void group_kernel(
    const GemmParams &p, const float *a, const float *b, const float *bias, const float *residual,
    float *out, float *partial, u32 *arrivals, u32 layouts, u32 chunks_per_part) {
    SHARED(unsigned char, bytes);
    u32 address = (address_in_shared(bytes) + PATTERN_BYTES - 1) / PATTERN_BYTES * PATTERN_BYTES;
    unsigned char *shared = bytes + (address - address_in_shared(bytes));
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
        typename T::LoadA load_a;
        typename T::LoadB load_b;
        load_a.begin(a + start(p.a, p.batch, product) + (i64)first_row * p.a.row + (i64)from * p.a.col,
                     p.a.row, p.a.col, rows, layouts & 3);
        load_b.begin(b + start(p.b, p.batch, product) + (i64)first_col * p.b.col + (i64)from * p.b.row,
                     p.b.col, p.b.row, cols, layouts >> 2 & 3);
        // Reads step `n`; past the last one there is nothing, which reads as zeros.
        auto load = [&](u32 n) {
            u32 left = n < steps ? depth - n * T::BK : 0;
            bool whole = left >= T::BK && !edge;
            load_a.load(left, whole);
            load_b.load(left, whole);
        };
        auto store = [&](u32 n) {
            unsigned char *step = shared + n % 2 * T::STEP;
            load_a.store(step);
            load_b.store(step + T::BM * ROW_BYTES);
        };
        load_a.bring(shared, depth);
        load_b.bring(shared + T::BM * ROW_BYTES, depth);
        show_to_tensor_cores();
        __syncthreads();
        // No branch between `send` and `end`: the compiler would wait there.
#pragma unroll 1
        for (u32 n = 0; n < steps; ++n) {
            load(n + 1);
            tile.send(address + n % 2 * T::STEP);
            store(n + 1);
            tile.sums.end();
            show_to_tensor_cores();
            __syncthreads();
        }
        float *totals = reinterpret_cast<float *>(shared);
        Totals<T>::finish(tile, p, bias, residual, out, partial, arrivals, totals, product, first_row, first_col);
    }
}

#define GROUP_KERNEL(name, ...)                                                                   \
    KERNEL __launch_bounds__(GroupTile<__VA_ARGS__>::THREADS, 1)                                  \
    name(const GemmParams p, const float *__restrict__ a, const float *__restrict__ b,            \
         const float *__restrict__ bias, const float *__restrict__ residual, float *__restrict__ out, \
         float *__restrict__ partial, u32 *__restrict__ arrivals, u32 layouts, u32 chunks_per_part) { \
        group_kernel<GroupTile<__VA_ARGS__>>(                                                     \
            p, a, b, bias, residual, out, partial, arrivals, layouts, chunks_per_part);           \
    }                                                                                             \
    ENTRY(name)

// Rows x columns of the tile; precision, warp groups.
GROUP_KERNEL(gemm_tf32_wgmma_128x128, Tf32, 2)
GROUP_KERNEL(gemm_tf32_wgmma_64x128, Tf32, 1)
GROUP_KERNEL(gemm_bf16_wgmma_128x128, Bf16, 2)
GROUP_KERNEL(gemm_bf16_wgmma_64x128, Bf16, 1)
