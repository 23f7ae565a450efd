// Random tensors: uniform, normal, mask, below, and the counter's advance. Mirror of
// src/reference/random.rs; equations and buffers in src/kernel/random.rs.
//
// Launch: any grid along x of blocks of 256 threads; a thread owns a Philox block, four elements, and
// writes them at once where the output's offset allows. Sums: none.
// Cost: 4 bytes written per element; about 50 integer operations per four elements, and as many again
// in floating point for each pair of normal numbers.
#include "rng.cuh"

struct RandomParams {
    u32 seed[2], stream, step, part, offset, n;
    float a, b, c;
};
static_assert(sizeof(RandomParams) == 40, "kernel::random::RandomParams");
struct AdvanceParams {
    u32 by;
};
static_assert(sizeof(AdvanceParams) == 4, "kernel::random::AdvanceParams");

// `draw(stream, block)` gives four words for each block of elements.
template <class Draw>
__device__ __forceinline__ void fill_random(const RandomParams &p, const u32 *counter, u32 *out, Draw draw) {
    const rng::Stream stream = {p.seed[0], p.seed[1], p.stream, p.step + counter[0], p.part};
    const u32 blocks = p.n / 4 + (p.n % 4 != 0);
    out += p.offset;
    const bool whole = ((size_t)out & 15) == 0;
    SWEEP(block, blocks) {
        const rng::Words v = draw(stream, (u32)block);
        const u32 first = (u32)block * 4, left = p.n - first;
        if (whole && left >= 4) {
            *(uint4 *)(out + first) = make_uint4(v.w[0], v.w[1], v.w[2], v.w[3]);
        } else {
#pragma unroll
            for (u32 k = 0; k < 4; ++k)
                if (k < left) out[first + k] = v.w[k];
        }
    }
}

KERNEL random_uniform(const RandomParams p, const u32 *counter, u32 *out) {
    fill_random(p, counter, out, [&](const rng::Stream &s, u32 block) {
        const rng::Floats u = s.uniform4(block);
        rng::Words v;
#pragma unroll
        for (int k = 0; k < 4; ++k) v.w[k] = bits_of(__fmaf_rn(u.v[k], p.b - p.a, p.a));
        return v;
    });
}

KERNEL random_normal(const RandomParams p, const u32 *counter, u32 *out) {
    fill_random(p, counter, out, [&](const rng::Stream &s, u32 block) {
        const rng::Floats z = s.normal4(block);
        rng::Words v;
#pragma unroll
        for (int k = 0; k < 4; ++k) v.w[k] = bits_of(__fmaf_rn(z.v[k], p.b, p.a));
        return v;
    });
}

KERNEL random_mask(const RandomParams p, const u32 *counter, u32 *out) {
    fill_random(p, counter, out, [&](const rng::Stream &s, u32 block) {
        const rng::Floats u = s.uniform4(block);
        rng::Words v;
#pragma unroll
        for (int k = 0; k < 4; ++k) v.w[k] = bits_of(u.v[k] < p.a ? p.b : p.c);
        return v;
    });
}

KERNEL random_below(const RandomParams p, const u32 *counter, u32 *out) {
    fill_random(p, counter, out, [&](const rng::Stream &s, u32 block) {
        rng::Words v = s.words4(block);
#pragma unroll
        for (int k = 0; k < 4; ++k) v.w[k] = __umulhi(v.w[k], bits_of(p.a));
        return v;
    });
}

KERNEL random_advance(const AdvanceParams p, u32 *counter) {
    if (grid_index() == 0) counter[0] += p.by;
}

ENTRY(random_uniform)
ENTRY(random_normal)
ENTRY(random_mask)
ENTRY(random_below)
ENTRY(random_advance)
