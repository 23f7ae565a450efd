// `a / b`, rounded to the nearest: the adapter's quotient of the mantissas, which need only be right to
// 32 ulp, put right by the remainder in integers.
fn quotient(a: f32, b: f32) -> f32 {
    let sign = (bitcast<u32>(a) ^ bitcast<u32>(b)) & 0x80000000;
    let a_zero = a == 0.0f;
    let b_zero = b == 0.0f;
    if (is_nan(a) || is_nan(b) || (a_zero && b_zero) || (!finite(a) && !finite(b))) {
        return bitcast<f32>(0x7fc00000 | block_word(0));
    }
    if (a_zero || !finite(b)) {
        return bitcast<f32>(sign);
    }
    if (b_zero || !finite(a)) {
        return bitcast<f32>(sign | 0x7f800000);
    }
    let p = parts(a);
    let q = parts(b);
    var ratio = u32(f32(p.mantissa) / f32(q.mantissa) * 33554432.0f);
    var rest = i32((p.mantissa << 25) - ratio * q.mantissa);
    while (rest < 0) {
        ratio -= 1;
        rest += i32(q.mantissa);
    }
    while (rest >= i32(q.mantissa)) {
        ratio += 1;
        rest -= i32(q.mantissa);
    }
    return rounded(sign, ratio << 6, select(0u, 1u, rest != 0), p.exponent - q.exponent);
}
