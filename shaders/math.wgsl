// Elementary functions in binary32: mirror of src/math.rs and src/math/, the same operations in the
// same order, so the same bits. Accuracy and special values are documented there.
//
// Rust's `a.mul_add(b, c)` is mul_add(a, b, c), `a / b` is quotient(a, b), `a.sqrt()` is root(a), each in
// the form that is exact on the adapter. Where one side of a select costs much and neighbours mostly agree
// (reflection formulas), a branch skips it.

// Adding this rounds a float below 2^22 in magnitude to an integer, which then sits in the low bits.
const ROUND: f32 = 12582912.0f;  // 1.5 * 2^23
const PI: f32 = 3.14159265f;
const HALF_LN_TWO_PI: f32 = 0.9189385f;

fn math_infinity() -> f32 { return bitcast<f32>(0x7f800000 | block_word(0)); }
fn math_not_a_number() -> f32 { return bitcast<f32>(0x7fc00000 | block_word(0)); }
fn math_abs(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) & 0x7fffffff); }

// The value of `magnitude` with the sign bit of `sign`.
fn math_with_sign(magnitude: f32, sign: f32) -> f32 {
    return bitcast<f32>((bitcast<u32>(magnitude) & 0x7fffffff) | (bitcast<u32>(sign) & 0x80000000));
}

// `2^n` for `-126 <= n <= 127`. Unsigned, because n is anything where the argument was NaN.
fn math_power_of_two(n: i32) -> f32 { return bitcast<f32>((u32(n) + 127) << 23); }
