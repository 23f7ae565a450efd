// `a * b + c`, rounded once, in integers.
fn mul_add(a: f32, b: f32, addend: f32) -> f32 {
    // Not known to be 0: see `zero` in common.wgsl.
    let c = bitcast<f32>(bitcast<u32>(addend) ^ block_word(0));
    if (!finite(a) || !finite(b)) {
        return a * b + c;
    }
    if (!finite(c)) {
        return c;
    }
    if (a == 0.0f || b == 0.0f) {
        return a * b + c;
    }
    if (c == 0.0f) {
        return a * b;
    }
    let p = parts(a);
    let q = parts(b);
    let r = parts(c);
    // Both with their leading bit at place 62 (the product: or 61), worth 2^exponent.
    var x = vec2(mul_high(p.mantissa, q.mantissa), p.mantissa * q.mantissa);
    x = vec2((x.x << 15) | (x.y >> 17), x.y << 15);
    var x_exponent = p.exponent + q.exponent + 47;
    var x_sign = (bitcast<u32>(a) ^ bitcast<u32>(b)) & 0x80000000;
    var y = vec2(r.mantissa << 7, 0u);
    var y_exponent = r.exponent + 23;
    var y_sign = bitcast<u32>(c) & 0x80000000;
    if (y_exponent > x_exponent || (y_exponent == x_exponent && y.x > x.x)) {
        let z = x;
        x = y;
        y = z;
        let z_exponent = x_exponent;
        x_exponent = y_exponent;
        y_exponent = z_exponent;
        let z_sign = x_sign;
        x_sign = y_sign;
        y_sign = z_sign;
    }
    y = shifted_right(y, u32(x_exponent - y_exponent));
    var sum: vec2<u32>;
    if (x_sign == y_sign) {
        let low = x.y + y.y;
        sum = vec2(x.x + y.x + select(0u, 1u, low < x.y), low);
    } else {
        sum = vec2(x.x - y.x - select(0u, 1u, x.y < y.y), x.y - y.y);
        if ((sum.x >> 31) != 0) {
            // y was larger after all.
            sum = vec2(~sum.x + select(0u, 1u, sum.y == 0), 0u - sum.y);
            x_sign = y_sign;
        }
        if ((sum.x | sum.y) == 0) {
            return 0.0f;
        }
    }
    return rounded(x_sign, sum.x, sum.y, x_exponent + 1);
}
