// Counter-based random numbers, Philox4x32-10: mirror of src/rng.rs, which describes the layout of
// counters and the conversions.
#pragma once

#include "math.cuh"

namespace rng {

struct Words {
    u32 w[4];
};
struct Floats {
    float v[4];
};

// Philox4x32 with ten rounds: four random words for a counter under a key.
MATH Words philox(u32 c0, u32 c1, u32 c2, u32 c3, u32 k0, u32 k1) {
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        if (round > 0) {
            k0 += 0x9e3779b9u;
            k1 += 0xbb67ae85u;
        }
        u32 h0 = __umulhi(0xd2511f53u, c0), l0 = 0xd2511f53u * c0;
        u32 h1 = __umulhi(0xcd9e8d57u, c2), l1 = 0xcd9e8d57u * c2;
        c0 = h1 ^ c1 ^ k0;
        c1 = l1;
        c2 = h0 ^ c3 ^ k1;
        c3 = l0;
    }
    return {{c0, c1, c2, c3}};
}

// A 24-bit uniform number in [0, 1), exact.
MATH float uniform_from(u32 word) { return __uint2float_rn(word >> 8) * 5.9604645e-8f; }

// A 24-bit uniform number in (0, 1], exact.
MATH float uniform_open0_from(u32 word) { return __uint2float_rn((word >> 8) + 1) * 5.9604645e-8f; }

// Two independent standard normal numbers from two words (Box-Muller).
MATH float2 normal_from(u32 a, u32 b) {
    float r = __fsqrt_rn(-2.0f * math::ln(uniform_open0_from(a)));
    auto [s, c] = math::sincos_2pi(b & 0xffffff00u);
    return make_float2(r * c, r * s);
}

// The address of a tensor of random numbers.
struct Stream {
    u32 seed_low, seed_high;
    u32 stream, step, part;

    // The four words of a block.
    MATH Words words4(u32 block) const { return philox(block, part, step, stream, seed_low, seed_high); }

    // Uniform numbers in [0, 1) for elements `4 block ..`.
    MATH Floats uniform4(u32 block) const {
        Words w = words4(block);
        return {{uniform_from(w.w[0]), uniform_from(w.w[1]), uniform_from(w.w[2]), uniform_from(w.w[3])}};
    }

    // Standard normal numbers for elements `4 block ..`.
    MATH Floats normal4(u32 block) const {
        Words w = words4(block);
        float2 a = normal_from(w.w[0], w.w[1]), b = normal_from(w.w[2], w.w[3]);
        return {{a.x, a.y, b.x, b.y}};
    }
};

}  // namespace rng
