// Powers, through a base-2 logarithm carried as an unevaluated sum of two binary32 numbers.
#pragma once

namespace math {

// `log2(a) = h + l` to about 2^-40 relatively, for finite a > 0.
//
// `ln(1 + f) = 2 atanh(q)`, `q = f / (2 + f)`.
MATH Two log2_pair(float a) {
    auto [e, f] = split(a);
    // 2 + f = d + d_rest, f / (2 + f) = q + q_rest
    float d = 2.0f + f;
    float d_rest = f - (d - 2.0f);
    float q = f / d;
    float q_rest = mul_add(q, -d_rest, mul_add(q, -d, f)) / d;
    float s = q * q;
    float s_rest = mul_add(q, q, -s) + 2.0f * q * q_rest;
    // atanh(q)/q - 1 = s u, u = 1/3 + s (1/5 + ...) = u + u_rest; 1/3 = 0.33333334 - 9.934108e-9
    float t = 9.958908e-2f;
    t = mul_add(t, s, 1.10778615e-1f);
    t = mul_add(t, s, 1.4286232e-1f);
    t = mul_add(t, s, 1.9999997e-1f);
    t = s * t;
    float u = 0.33333334f + t;
    float u_rest = ((0.33333334f - u) + t) - 9.934108e-9f;
    float v = s * u;
    float v_rest = mul_add(s, u, -v) + mul_add(s, u_rest, s_rest * u);
    float z = q * v;
    float z_rest = mul_add(q, v, -z) + mul_add(q, v_rest, q_rest * v);
    float h = q + z;
    float l = ((q - h) + z) + (q_rest + z_rest);
    // times 2 log2(e) = 2.88539 + 3.851926e-8
    float p = h * 2.88539f;
    float p_rest = mul_add(h, 2.88539f, -p) + mul_add(h, 3.851926e-8f, l * 2.88539f);
    float y = e + p;
    return {y, ((e - y) + p) + p_rest};
}

// `x^y` with the special cases of C99 Annex F.
MATH float pow(float x, float y) {
    float a = abs(x);
    auto [h, l] = log2_pair(a);
    bool end = a == 0.0f || a == infinity();
    float pole = a == 0.0f ? -infinity() : infinity();
    h = end ? pole : h;
    l = end ? 0.0f : l;
    float t = y * h;
    float t_rest = mul_add(y, l, mul_add(y, h, -t));
    bool beyond = abs(t) > 160.0f;
    float bounded = t > 160.0f ? 160.0f : t;
    bounded = bounded < -160.0f ? -160.0f : bounded;
    auto [p, n] = exp2_parts(bounded, (beyond ? 0.0f : t_rest));
    float value = scale(p, n);

    float b = abs(y);
    // Never out of range, NaN included.
    i32 whole = __float2int_rz((b < 33554432.0f ? b : 33554432.0f));
    bool integer = (float)whole == b || b >= 33554432.0f;
    bool odd = integer && (whole & 1) != 0;
    value = a == 1.0f && !is_nan(y) ? 1.0f : value;
    u32 sign = odd ? bits_of(x) & 0x80000000u : 0u;
    value = float_of(bits_of(value) | sign);
    value = x < 0.0f && a != infinity() && !integer ? not_a_number() : value;
    value = is_nan(a) || is_nan(y) ? not_a_number() : value;
    bool trivial = y == 0.0f || x == 1.0f;
    return trivial ? 1.0f : value;
}

}  // namespace math
