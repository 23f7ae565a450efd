// The square root, rounded to the nearest: the adapter's, which need only be right to 8 ulp, put right by
// the remainder in integers.
fn root(x: f32) -> f32 {
    if (x == 0.0f || is_nan(x)) {
        return x;
    }
    if (x < 0.0f) {
        return bitcast<f32>(0x7fc00000 | block_word(0));
    }
    if (!finite(x)) {
        return x;
    }
    let p = parts(x);
    let odd = u32(p.exponent & 1);
    let m = p.mantissa << odd;
    // The root of m 2^26.
    var r = u32(sqrt(f32(m)) * 8192.0f);
    var rest = i32((m << 26) - r * r);
    while (rest < 0) {
        rest += i32(2 * r - 1);
        r -= 1;
    }
    while (rest > i32(2 * r)) {
        rest -= i32(2 * r + 1);
        r += 1;
    }
    return rounded(0u, r << 6, select(0u, 1u, rest != 0), 12 + ((p.exponent - i32(odd)) >> 1));
}
