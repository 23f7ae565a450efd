// Log-likelihood of counts under a (zero-inflated) negative binomial, and its gradients.
// Mirror of src/reference/zinb.rs; buffers, flags and the order of sums as in src/kernel/zinb.rs.
//
//   zinb_dispersion   per segment and gene what depends on theta alone, into scratch: table[field][s][g]
//   zinb_dense        sparse counts to dense ones in scratch; a block per cell
//   zinb_value        a block per row; chunks of CHUNK genes: every entry as if its count were 0, the
//                     counts of the chunk collected and done by all threads together, then lane l adds
//                     genes l, l+L, ..; at the end the lanes are halved
//   zinb_grad         a block per 64 rows (a BLOCK of dr) and 32 genes; a warp has 32 genes of a row,
//                     counts are collected as above, dr is kept in shared memory and added in order of
//                     rows
//
// An IEEE division is an instruction sequence of about ten, an entry without a count costs about 150
// instructions and 20 bytes (value: 12): bound by the issue of instructions as much as by memory.
#include "math.cuh"

struct ZinbParams {
    u32 rows, genes, segments, repeat, flags, x_at, m_at, r_at, segment_at, h_at, weight_at;
};
static_assert(sizeof(ZinbParams) == 44, "kernel::zinb::ZinbParams");

#define NO_INFLATION 1u
#define ONE_SEGMENT 2u
#define R_BLOCKS 4u

#define THREADS 256u
#define CHUNK 2048u
#define BLOCK 64u
#define WARP 32u

// [`Dispersion`] of entry `at` of a table with `n` entries per field.
__device__ __forceinline__ math::Dispersion load(const float *table, u64 n, u64 at) {
    return {table[at], table[n + at], table[2 * n + at], table[3 * n + at], table[4 * n + at]};
}

KERNEL zinb_dispersion(const ZinbParams p, const float *r, float *table) {
    u64 n = (u64)p.segments * p.genes;
    SWEEP(i, n) {
        math::Dispersion t = math::dispersion(r[p.r_at + i]);
        table[i] = t.theta;
        table[n + i] = t.inverse;
        table[2 * n + i] = t.error;
        table[3 * n + i] = t.inverse_next;
        table[4 * n + i] = t.digamma_next;
    }
}
ENTRY(zinb_dispersion)

KERNEL zinb_dense(const ZinbParams p, const u32 *indptr, const u32 *indices, const float *values, float *x) {
    u32 cells = (p.rows + p.repeat - 1) / p.repeat;
    for (u32 cell = blockIdx.x; cell < cells; cell += gridDim.x) {
        float *row = x + (u64)cell * p.genes;
        for (u32 g = threadIdx.x; g < p.genes; g += blockDim.x) row[g] = 0.0f;
        __syncthreads();
        for (u32 k = indptr[cell] + threadIdx.x; k < indptr[cell + 1]; k += blockDim.x) row[indices[k]] = values[k];
    }
}
ENTRY(zinb_dense)

// Log-probability of one entry with count x.
__device__ __forceinline__ float count_value(float x, float m, float r, float h, bool inflated, const math::Dispersion &t) {
    float value = math::count_value(x, math::mean(m, r, t.inverse), t);
    return inflated ? value - math::inflation(h).loss : value;
}

KERNEL zinb_value(const ZinbParams p, const float *x, const float *m, const float *r, const u32 *segment, const float *h,
                  float *ll, const float *table, u32 x_at) {
    __shared__ float values[CHUNK];
    __shared__ float lanes[THREADS];
    __shared__ u32 found[CHUNK];
    __shared__ u32 count;
    bool inflated = !(p.flags & NO_INFLATION);
    u64 entries = (u64)p.segments * p.genes;
    u32 width = 1;
    while (width < p.genes && width < blockDim.x) width *= 2;
    u32 t = threadIdx.x;
    for (u32 row = blockIdx.x; row < p.rows; row += gridDim.x) {
        u32 cell = row / p.repeat;
        u64 first = (u64)row * p.genes;
        u64 of_segment = (u64)(p.flags & ONE_SEGMENT ? 0 : segment[p.segment_at + cell]) * p.genes;
        const float *xs = x + x_at + (u64)cell * p.genes;
        const float *ms = m + p.m_at + first;
        const float *hs = h + p.h_at + first;
        const float *rs = r + p.r_at + of_segment;
        float sum = 0.0f;
        for (u32 from = 0; from < p.genes; from += CHUNK) {
            u32 n = p.genes - from < CHUNK ? p.genes - from : CHUNK;
            if (t == 0) count = 0;
            __syncthreads();
            for (u32 k = t; k < n; k += blockDim.x) {
                u32 g = from + k;
                float theta = table[of_segment + g];
                math::Mean mean = math::mean(ms[g], rs[g], table[entries + of_segment + g]);
                float y = theta * mean.log_ratio;
                float value = -y;
                if (inflated) {
                    float logit = hs[g];
                    value = math::zero_value(y, logit, math::zero_mixture(y, logit).change);
                }
                values[k] = value;
                if (!(xs[g] == 0.0f)) found[atomicAdd(&count, 1u)] = k;
            }
            __syncthreads();
            for (u32 k = t; k < count; k += blockDim.x) {
                u32 g = from + found[k];
                math::Dispersion d = load(table, entries, of_segment + g);
                values[found[k]] = count_value(xs[g], ms[g], rs[g], inflated ? hs[g] : 0.0f, inflated, d);
            }
            __syncthreads();
            // CHUNK is a multiple of every width.
            if (t < width)
                for (u32 k = t; k < n; k += width) sum = sum + values[k];
            __syncthreads();
        }
        lanes[t] = sum;
        __syncthreads();
        for (u32 s = width / 2; s > 0; s /= 2) {
            if (t < s) lanes[t] = lanes[t] + lanes[t + s];
            __syncthreads();
        }
        if (t == 0) ll[row] = lanes[0];
        __syncthreads();
    }
}
ENTRY(zinb_value)

KERNEL zinb_grad(const ZinbParams p, const float *x, const float *m, const float *r, const u32 *segment, const float *h,
                 const float *weight, float *dm, float *dr, float *dh, const float *table, u32 x_at) {
    // Weighted d/dr of the tile.
    __shared__ float slopes[BLOCK][WARP];
    __shared__ u32 found[BLOCK * WARP];
    __shared__ u32 count;
    bool inflated = !(p.flags & NO_INFLATION), blocks = p.flags & R_BLOCKS, one = p.flags & ONE_SEGMENT;
    u64 entries = (u64)p.segments * p.genes;
    u32 lane = threadIdx.x % WARP, warp = threadIdx.x / WARP;
    u32 g = blockIdx.x * WARP + lane;
    for (u32 block = blockIdx.y; block < (p.rows + BLOCK - 1) / BLOCK; block += gridDim.y) {
        u32 first = block * BLOCK;
        u32 rows = p.rows - first < BLOCK ? p.rows - first : BLOCK;
        if (threadIdx.x == 0) count = 0;
        __syncthreads();
        if (g < p.genes) {
            for (u32 k = warp; k < rows; k += THREADS / WARP) {
                u32 row = first + k, cell = row / p.repeat;
                u64 at = (u64)row * p.genes + g;
                u64 of = (u64)(one ? 0 : segment[p.segment_at + cell]) * p.genes + g;
                float theta = table[of];
                float logit = inflated ? h[p.h_at + at] : 0.0f;
                math::Mean mean = math::mean(m[p.m_at + at], r[p.r_at + of], table[entries + of]);
                if (!(x[x_at + (u64)cell * p.genes + g] == 0.0f)) {
                    found[atomicAdd(&count, 1u)] = k * WARP + lane;
                    continue;
                }
                float w = weight[p.weight_at + row];
                math::LogProbability d;
                if (inflated) {
                    float y = theta * mean.log_ratio;
                    d = math::zero_slopes(math::zero_mixture(y, logit), mean.ratio, y, theta);
                    dh[at] = w * d.h;
                } else {
                    d = math::nb_zero(mean, theta);
                }
                dm[at] = w * d.m;
                slopes[k][lane] = w * d.r;
            }
        }
        __syncthreads();
        for (u32 i = threadIdx.x; i < count; i += THREADS) {
            u32 k = found[i] / WARP, l = found[i] % WARP;
            u32 row = first + k, cell = row / p.repeat, gene = blockIdx.x * WARP + l;
            u64 at = (u64)row * p.genes + gene;
            u64 of = (u64)(one ? 0 : segment[p.segment_at + cell]) * p.genes + gene;
            float w = weight[p.weight_at + row];
            math::Dispersion t = load(table, entries, of);
            math::Mean mean = math::mean(m[p.m_at + at], r[p.r_at + of], t.inverse);
            math::LogProbability d = math::count_slopes(x[x_at + (u64)cell * p.genes + gene], mean, t);
            dm[at] = w * d.m;
            slopes[k][l] = w * d.r;
            if (inflated) dh[at] = w * -math::inflation(h[p.h_at + at]).share;
        }
        __syncthreads();
        if (g < p.genes) {
            if (!blocks) {
                for (u32 k = warp; k < rows; k += THREADS / WARP) dr[(u64)(first + k) * p.genes + g] = slopes[k][lane];
            } else if (one) {
                if (warp == 0) {
                    float sum = 0.0f;
                    for (u32 k = 0; k < rows; ++k) sum = sum + slopes[k][lane];
                    dr[(u64)block * entries + g] = sum;
                    for (u32 s = 1; s < p.segments; ++s) dr[(u64)block * entries + (u64)s * p.genes + g] = 0.0f;
                }
            } else {
                // Every warp has its segments.
                for (u32 s = warp; s < p.segments; s += THREADS / WARP) {
                    float sum = 0.0f;
                    for (u32 k = 0; k < rows; ++k)
                        if (segment[p.segment_at + (first + k) / p.repeat] == s) sum = sum + slopes[k][lane];
                    dr[(u64)block * entries + (u64)s * p.genes + g] = sum;
                }
            }
        }
        __syncthreads();
    }
}
ENTRY(zinb_grad)
