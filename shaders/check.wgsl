// The self-check of an adapter: each basic operation that kernels build on, on values that tell. What
// each must give is in `src/wgpu/check.rs`.
//
// Launch: a thread per element, any number of workgroups of 256.

fn f(bits: u32) -> f32 { return bitcast<f32>(bits); }
fn u(x: f32) -> u32 { return bitcast<u32>(x); }

fn check_add(a: u32, b: u32, c: u32) -> u32 { return u(f(a) + f(b)); }
fn check_sub(a: u32, b: u32, c: u32) -> u32 { return u(f(a) - f(b)); }
fn check_mul(a: u32, b: u32, c: u32) -> u32 { return u(f(a) * f(b)); }
fn check_neg(a: u32, b: u32, c: u32) -> u32 { return u(-f(a)); }
fn check_mul_add(a: u32, b: u32, c: u32) -> u32 { return u(mul_add(f(a), f(b), f(c))); }
fn check_quotient(a: u32, b: u32, c: u32) -> u32 { return u(quotient(f(a), f(b))); }
fn check_reciprocal(a: u32, b: u32, c: u32) -> u32 { return u(quotient(1.0f, f(a))); }
fn check_root(a: u32, b: u32, c: u32) -> u32 { return u(root(f(a))); }

// Contraction of a product and a sum.
fn check_separate(a: u32, b: u32, c: u32) -> u32 { return u(f(a) * f(b) + f(c)); }
fn check_separate_difference(a: u32, b: u32, c: u32) -> u32 { return u(f(a) * f(b) - f(c) * f(a)); }

// Regrouping.
fn check_cancel(a: u32, b: u32, c: u32) -> u32 { return u((f(a) + f(b)) - f(a)); }
fn check_self(a: u32, b: u32, c: u32) -> u32 { return u((f(a) - f(a)) + (f(b) - f(c))); }
fn check_constants(a: u32, b: u32, c: u32) -> u32 { return u(((f(a) + 1.1f) + 2.3f) * 1.7f * 2.9f); }
fn check_round(a: u32, b: u32, c: u32) -> u32 { return u((f(a) + 12582912.0f) - 12582912.0f); }
fn check_factor(a: u32, b: u32, c: u32) -> u32 { return u(f(a) * f(b) + f(a) * f(c)); }
fn check_two_sum(a: u32, b: u32, c: u32) -> u32 {
    let s = f(a) + f(b);
    let t = s - f(a);
    return u((f(a) - (s - t)) + (f(b) - t));
}

// Signs of zero.
fn check_from_zero(a: u32, b: u32, c: u32) -> u32 { return u(zero() + f(a)); }
fn check_less_from_zero(a: u32, b: u32, c: u32) -> u32 { return u(zero() - f(a)); }

// NaN.
fn check_is_nan(a: u32, b: u32, c: u32) -> u32 { return select(0u, 1u, is_nan(f(a))); }
fn check_compare(a: u32, b: u32, c: u32) -> u32 {
    return select(0u, 1u, f(a) < f(b)) | select(0u, 2u, f(a) <= f(b)) | select(0u, 4u, f(a) > f(b))
        | select(0u, 8u, f(a) >= f(b)) | select(0u, 16u, f(a) == f(b)) | select(0u, 32u, f(a) != f(b))
        | select(0u, 64u, !(f(a) < f(b))) | select(0u, 128u, !(f(a) >= f(b)));
}
fn check_smaller(a: u32, b: u32, c: u32) -> u32 { return u(select(f(b), f(a), f(a) < f(b))); }
fn check_clamp(a: u32, b: u32, c: u32) -> u32 {
    let x = select(f(a), 89.0f, f(a) > 89.0f);
    return u(select(x, -105.0f, x < -105.0f));
}

// Integers.
fn check_from_u32(a: u32, b: u32, c: u32) -> u32 { return u(f32(a)); }
fn check_from_i32(a: u32, b: u32, c: u32) -> u32 { return u(f32(i32(a))); }
fn check_to_i32(a: u32, b: u32, c: u32) -> u32 {
    let x = math_abs(f(a));
    return u32(i32(select(33554432.0f, x, x < 33554432.0f)));
}
fn check_high(a: u32, b: u32, c: u32) -> u32 { return mul_high(a, b); }

//! entry check: a u32, b u32, c u32, out u32 set
@compute @workgroup_size(256)
fn check(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = word(0);
    for (var i = id.x; i < n; i += groups.x * THREADS) {
        out_set(i, $CHECK(a_at(i), b_at(i), c_at(i)));
    }
}
