// Elementary functions in binary32: mirror of src/math.rs and src/math/, the same operations in the
// same order, so the same bits. Accuracy and special values are documented there.
//
// Rust's `a.mul_add(b, c)` is mul_add(a, b, c), a select is `?:`. Where one side of a select costs
// much and neighbours mostly agree (reflection formulas), a branch skips it.
#pragma once

#include "common.cuh"

#define MATH __device__ __forceinline__

namespace math {

// Adding this rounds a float below 2^22 in magnitude to an integer, which then sits in the low bits.
constexpr float ROUND = 12582912.0f;  // 1.5 * 2^23
constexpr float PI = 3.14159265f;
constexpr float HALF_LN_TWO_PI = 0.9189385f;

MATH float infinity() { return float_of(0x7f800000u); }
MATH float not_a_number() { return float_of(0x7fc00000u); }
MATH float mul_add(float a, float b, float c) { return __fmaf_rn(a, b, c); }
MATH float abs(float x) { return float_of(bits_of(x) & 0x7fffffffu); }

// The value of `magnitude` with the sign bit of `sign`.
MATH float with_sign(float magnitude, float sign) {
    return float_of((bits_of(magnitude) & 0x7fffffffu) | (bits_of(sign) & 0x80000000u));
}

// `2^n` for `-126 <= n <= 127`. Unsigned, because n is anything where the argument was NaN.
MATH float power_of_two(i32 n) { return float_of(((u32)n + 127u) << 23); }

}  // namespace math

#include "math/exp.cuh"
#include "math/log.cuh"
#include "math/activation.cuh"
#include "math/erf.cuh"
#include "math/trig.cuh"
#include "math/gamma.cuh"
#include "math/pow.cuh"
#include "math/counts.cuh"
