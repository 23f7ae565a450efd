// Sines and cosines.
//
// Large arguments are reduced in fixed point with as many bits of 1/(2 pi) as their exponent asks
// for (Payne and Hanek 1983), so that the whole range is right; there is no second path.

// A sine and a cosine, each an unevaluated sum.
struct Pairs {
    s: f32,
    s_rest: f32,
    c: f32,
    c_rest: f32,
}
struct SinCos {
    s: f32,
    c: f32,
}

// `sin pi d` and `cos pi d` for |d| <= 1/4, with their rounding errors.
fn math_sincos_pi_small(d: f32) -> Pairs {
    let v = d * d;
    var s = 7.917889e-02f;
    s = mul_add(s, v, -5.989822e-01f);
    s = mul_add(s, v, 2.5501547e+00f);
    s = mul_add(s, v, -5.1677127e+00f);
    // pi = PI - 8.742278e-8
    let s_small = d * mul_add(v, s, -8.742278e-8f);
    s = mul_add(d, PI, s_small);
    var c = 2.2875077e-01f;
    c = mul_add(c, v, -1.3347361e+00f);
    c = mul_add(c, v, 4.0586963e+00f);
    c = mul_add(c, v, -4.934802e+00f);
    let c_small = v * c;
    c = 1.0f + c_small;
    return Pairs(s, mul_add(d, PI, -s) + s_small, c, (1.0f - c) + c_small);
}

const TWO_PI_HI: f32 = 6.28318531f;
const TWO_PI_LO: f32 = -1.7484555e-7f;

// `(sin r, cos r)` for |r| <= pi/4 radians.
fn math_sincos_small(r: f32) -> SinCos {
    let v = r * r;
    var s = 2.8372472e-6f;
    s = mul_add(s, v, -1.9853498e-4f);
    s = mul_add(s, v, 8.33338e-3f);
    s = mul_add(s, v, -1.6666667e-1f);
    var c = 2.4430668e-5f;
    c = mul_add(c, v, -1.3887301e-3f);
    c = mul_add(c, v, 4.1666646e-2f);
    c = mul_add(c, v, -0.5f);
    return SinCos(mul_add(r * v, s, r), mul_add(v, c, 1.0f));
}

// Turns `(sin, cos)` of the reduced angle by `quarter` right angles.
fn math_rotate(quarter: u32, x: SinCos) -> SinCos {
    let swap = (quarter & 1) != 0;
    let a = select(x.s, x.c, swap);
    let b = select(x.c, x.s, swap);
    let flip_a = (quarter & 2) << 30;
    let flip_b = ((quarter + 1) & 2) << 30;
    return SinCos(bitcast<f32>(bitcast<u32>(a) ^ flip_a), bitcast<f32>(bitcast<u32>(b) ^ flip_b));
}

// `(sin, cos)` of `2 pi turn / 2^32`.
//
// The reduction is exact when the low 8 bits of `turn` are 0 (a 24-bit uniform draw); otherwise the
// reduced angle is rounded to binary32 first.
fn math_sincos_2pi(turn: u32) -> SinCos {
    let quarter = (turn + (1u << 29)) >> 30;
    let rest = i32(turn - (quarter << 30));
    let p = math_sincos_pi_small(f32(rest) * 4.656613e-10f);
    return math_rotate(quarter, SinCos(p.s, p.c));
}

// A zero word, then the binary digits of 1/(2 pi).
const INV_TWO_PI = array<u32, 8>(
    0, 0x28be60dbu, 0x9391054au, 0x7f09d5f4u, 0x7d4d3770u, 0x36d8a566u, 0x4f10e410u, 0x7f9458eau);

// 32 of its digits, from place `32 at + shift` on.
fn math_window(at: u32, shift: u32) -> u32 {
    var digits = INV_TWO_PI;
    let left = digits[at & 7];
    let right = digits[(at + 1) & 7];
    return (left << shift) | ((right >> 1) >> (31 - shift));
}

// `(sin x, cos x)`, x in radians; NaN for infinities.
fn math_sincos(x: f32) -> SinCos {
    let bits = bitcast<u32>(x);
    // |x| = m 2^(e - 32) with the top bit of m set; e >= 0 wherever the outcome is used.
    let m = (bits << 8) | 0x80000000u;
    let e = ((bits >> 23) & 0xff) - 126;
    let at = e >> 5;
    let shift = e & 31;
    // 32 digits of 1/(2 pi) before the binary point of 2^e / (2 pi), 64 after it.
    let high = math_window(at, shift);
    let middle = math_window(at + 1, shift);
    let low = math_window(at + 2, shift);
    // The turns of |x| modulo 1, in units of 2^-64.
    let carried = mul_high(m, low);
    var lower = m * middle + carried;
    var upper = m * high + mul_high(m, middle) + select(0u, 1u, lower < carried);
    let quarter = (upper + (1u << 29)) >> 30;
    upper -= quarter << 30;
    let negative = upper >> 31;
    if (negative != 0) {
        lower = 0u - lower;
        upper = ~upper + select(0u, 1u, lower == 0);
    }
    // 23 leading places exactly, the next 31 rounded.
    var a = f32(i32(upper & ~0x3fu)) * 2.3283064e-10f;
    let b = f32(i32(((upper & 0x3fu) << 25) | (lower >> 7))) * 6.938894e-18f;
    var radians = mul_add(a, TWO_PI_HI, mul_add(b, TWO_PI_HI, a * TWO_PI_LO));
    radians = bitcast<f32>(bitcast<u32>(radians) ^ (negative << 31));

    a = math_abs(x);
    let small = a < 0.785398163f;
    var r = select(radians, a, small);
    r = select(math_not_a_number(), r, a < math_infinity());
    let of_s_c = math_rotate(select(quarter, 0u, small), math_sincos_small(r));
    let s = of_s_c.s;
    let c = of_s_c.c;
    return SinCos(bitcast<f32>(bitcast<u32>(s) ^ (bits & 0x80000000u)), c);
}

// `sin x`, x in radians.
fn math_sin(x: f32) -> f32 {
    return math_sincos(x).s;
}

// `cos x`, x in radians.
fn math_cos(x: f32) -> f32 {
    return math_sincos(x).c;
}

struct Turn {
    p: Pairs,
    falling: bool,
}
// `|sin pi x|` and `|cos pi x|`, and whether `tan pi x < 0`, for `x >= 0`; the reduction is exact.
fn math_sincos_pi_abs(x: f32) -> Turn {
    // From 2^23 on every number is an integer; below, adding 2^23 rounds to one.
    let nearest = (x + 8388608.0f) - 8388608.0f;
    let d = select(0.0f, x - nearest, x < 8388608.0f);
    let a = math_abs(d);
    let swap = a > 0.25f;
    let p = math_sincos_pi_small(select(a, 0.5f - a, swap));
    let s = select(p.s, p.c, swap);
    let s_rest = select(p.s_rest, p.c_rest, swap);
    let c = select(p.c, p.s, swap);
    let c_rest = select(p.c_rest, p.s_rest, swap);
    return Turn(Pairs(s, s_rest, c, c_rest), d < 0.0f);
}
