// Maps over strided views. Mirror of src/reference/elementwise.rs; equations and buffers in
// src/kernel/elementwise.rs.
//
// Launch: any number of workgroups of 256 along x; a thread takes every so many-th element. `$PLACE` is `flat`
// where a view is contiguous, else `strided`; `$F` is the function. Sums: none. Cost: 4 bytes per input and
// output element.

const A: u32 = 1;
const B: u32 = 2;
const UNARY_X: u32 = 3;
const BINARY_X: u32 = 1;
const BINARY_Y: u32 = BINARY_X + LAYOUT;

fn unary_neg(x: f32, a: f32, b: f32) -> f32 { return -x; }
fn unary_abs(x: f32, a: f32, b: f32) -> f32 { return math_abs(x); }
// Not with a constant 0: drivers have an instruction for that, which gives -0 for -0.
fn unary_sign(x: f32, a: f32, b: f32) -> f32 { return select(select(zero(), -1.0f, x < 0.0f), 1.0f, x > 0.0f); }
fn unary_sqrt(x: f32, a: f32, b: f32) -> f32 { return root(x); }
fn unary_rsqrt(x: f32, a: f32, b: f32) -> f32 { return quotient(1.0f, root(x)); }
fn unary_recip(x: f32, a: f32, b: f32) -> f32 { return quotient(1.0f, x); }
fn unary_square(x: f32, a: f32, b: f32) -> f32 { return x * x; }
fn unary_exp(x: f32, a: f32, b: f32) -> f32 { return math_exp(x); }
fn unary_expm1(x: f32, a: f32, b: f32) -> f32 { return math_expm1(x); }
fn unary_ln(x: f32, a: f32, b: f32) -> f32 { return math_ln(x); }
fn unary_log1p(x: f32, a: f32, b: f32) -> f32 { return math_log1p(x); }
fn unary_sin(x: f32, a: f32, b: f32) -> f32 { return math_sin(x); }
fn unary_cos(x: f32, a: f32, b: f32) -> f32 { return math_cos(x); }
fn unary_tanh(x: f32, a: f32, b: f32) -> f32 { return math_tanh(x); }
fn unary_sigmoid(x: f32, a: f32, b: f32) -> f32 { return math_sigmoid(x); }
fn unary_log_sigmoid(x: f32, a: f32, b: f32) -> f32 { return math_log_sigmoid(x); }
fn unary_softplus(x: f32, a: f32, b: f32) -> f32 { return math_softplus(x); }
fn unary_erf(x: f32, a: f32, b: f32) -> f32 { return math_erf(x); }
fn unary_lgamma(x: f32, a: f32, b: f32) -> f32 { return math_lgamma(x); }
fn unary_digamma(x: f32, a: f32, b: f32) -> f32 { return math_digamma(x); }
fn unary_trigamma(x: f32, a: f32, b: f32) -> f32 { return math_trigamma(x); }
fn unary_relu(x: f32, a: f32, b: f32) -> f32 { return math_relu(x); }
fn unary_leaky_relu(x: f32, a: f32, b: f32) -> f32 { return math_leaky_relu(x, a); }
fn unary_elu(x: f32, a: f32, b: f32) -> f32 { return math_elu(x, a); }
fn unary_add_scalar(x: f32, a: f32, b: f32) -> f32 { return x + a; }
fn unary_mul_scalar(x: f32, a: f32, b: f32) -> f32 { return x * a; }
fn unary_pow_scalar(x: f32, a: f32, b: f32) -> f32 { return math_pow(x, a); }
fn unary_clamp(x: f32, a: f32, b: f32) -> f32 { return select(select(x, b, x > b), a, x < a); }
fn unary_step(x: f32, a: f32, b: f32) -> f32 { return select(a, 1.0f, x > 0.0f); }
fn unary_elu_slope(x: f32, a: f32, b: f32) -> f32 { return select(x + a, 1.0f, x > 0.0f); }
fn unary_in_range(x: f32, a: f32, b: f32) -> f32 { return select(0.0f, 1.0f, a <= x && x <= b); }
fn unary_from_u32(x: f32, a: f32, b: f32) -> f32 { return f32(bitcast<u32>(x)); }

fn binary_add(x: f32, y: f32) -> f32 { return x + y; }
fn binary_sub(x: f32, y: f32) -> f32 { return x - y; }
fn binary_mul(x: f32, y: f32) -> f32 { return x * y; }
fn binary_div(x: f32, y: f32) -> f32 { return quotient(x, y); }
fn binary_max(x: f32, y: f32) -> f32 { return select(y, x, x > y || is_nan(x)); }
fn binary_min(x: f32, y: f32) -> f32 { return select(y, x, x < y || is_nan(x)); }
fn binary_pow(x: f32, y: f32) -> f32 { return math_pow(x, y); }
fn binary_gt(x: f32, y: f32) -> f32 { return select(0.0f, 1.0f, x > y); }
fn binary_ge(x: f32, y: f32) -> f32 { return select(0.0f, 1.0f, x >= y); }
fn binary_lt(x: f32, y: f32) -> f32 { return select(0.0f, 1.0f, x < y); }
fn binary_le(x: f32, y: f32) -> f32 { return select(0.0f, 1.0f, x <= y); }
fn binary_eq(x: f32, y: f32) -> f32 { return select(0.0f, 1.0f, x == y); }
fn binary_ne(x: f32, y: f32) -> f32 { return select(0.0f, 1.0f, x != y); }

//! entry elementwise_unary: x f32, out f32 set
@compute @workgroup_size(256)
fn elementwise_unary(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = length(UNARY_X);
    for (var i = id.x; i < n; i += groups.x * THREADS) {
        out_set(i, $F(x_at($PLACE(UNARY_X, i)), param_f32(A), param_f32(B)));
    }
}

//! entry elementwise_binary: x f32, y f32, out f32 set
@compute @workgroup_size(256)
fn elementwise_binary(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = length(BINARY_X);
    for (var i = id.x; i < n; i += groups.x * THREADS) {
        out_set(i, $F(x_at($PLACE_X(BINARY_X, i)), y_at($PLACE_Y(BINARY_Y, i))));
    }
}

//! entry elementwise_select: cond f32, x u32, y u32, out u32 set
@compute @workgroup_size(256)
fn elementwise_select(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = length(0u);
    for (var i = id.x; i < n; i += groups.x * THREADS) {
        // NaN counts as true.
        let chosen = !(cond_at($PLACE(0u, i)) == 0.0f);
        if (chosen) {
            out_set(i, x_at($PLACE(LAYOUT, i)));
        } else {
            out_set(i, y_at($PLACE(2 * LAYOUT, i)));
        }
    }
}

//! entry elementwise_fill: out u32 set
@compute @workgroup_size(256)
fn elementwise_fill(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = param(1);
    for (var i = id.x; i < n; i += groups.x * THREADS) {
        out_set(i, param(0));
    }
}
