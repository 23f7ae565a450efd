// Sums over pairs of points of a kernel function, with gradients. Mirror of src/reference/mmd.rs; equations, buffers
// and the order of sums in src/kernel/mmd.rs.
//
//   mmd_rows   a thread per pair
//   mmd_row    a workgroup of 256 per point: thread t has the pair of the chunk's point t; then its lanes and
//              chains over the chunk, and the totals of chunks in order (of the gradient: in `grad`).
//              Words: whether the sides are exchanged, whether gradients are wanted
//
// A call for both sides is a launch for each. Cost per pair: d fused multiply-adds for the distance and one more d
// for the norm of the other point, d for the gradient, an exponential per gamma.

const LINEAR: u32 = 0;
const CUBIC: u32 = 1;
const GAUSSIAN: u32 = 2;
const LAPLACIAN: u32 = 3;
const DISTANCE: u32 = 4;
const GAUSSIAN_SCALE: u32 = 5;

const EXCLUDE_SELF: u32 = 1;
const UNIT: u32 = 2;

const K_CHUNK: u32 = 256;
const CHUNK: u32 = 256;
const LANES: u32 = 16;
const EXPANDED: u32 = 16;
const NEAR: f32 = 0.03125f;

// Names of the params; `exchanged` swaps the sides.
fn kind() -> u32 { return param(0); }
fn dims() -> u32 { return param(3); }
fn gammas() -> u32 { return param(5); }
fn flags() -> u32 { return param(6); }
fn scale() -> f32 { return param_f32(14); }
fn shift() -> f32 { return param_f32(15); }

fn is_square() -> bool { return kind() == GAUSSIAN || kind() == DISTANCE || kind() == GAUSSIAN_SCALE; }
fn is_expanded() -> bool { return is_square() && dims() >= EXPANDED; }

fn gamma(k: u32) -> f32 { return gamma_at(param(10) + k); }
fn centre(t: u32) -> f32 { return centre_at(param(11) + t); }

// Whether a pair is near, and s of the table. `x0`, `y0`: where the points are.
struct Base {
    near: bool,
    s: f32,
}

// Products of two points, plain or seen from the centre; as gemm has them.
fn dot_xy(x0: u32, y0: u32, about: bool) -> f32 {
    var total = zero();
    for (var first = 0u; first < dims(); first += K_CHUNK) {
        var chain = zero();
        for (var t = first; t < min(first + K_CHUNK, dims()); t++) {
            var a = x_at(x0 + t);
            var b = y_at(y0 + t);
            if (about) {
                a = a - centre(t);
                b = b - centre(t);
            }
            chain = mul_add(a, b, chain);
        }
        total = select(total + chain, chain, first == 0);
    }
    return total;
}

fn norm_x(x0: u32) -> f32 {
    var total = zero();
    for (var first = 0u; first < dims(); first += K_CHUNK) {
        var chain = zero();
        for (var t = first; t < min(first + K_CHUNK, dims()); t++) {
            let a = x_at(x0 + t) - centre(t);
            chain = mul_add(a, a, chain);
        }
        total = select(total + chain, chain, first == 0);
    }
    return total;
}

fn norm_y(y0: u32) -> f32 {
    var total = zero();
    for (var first = 0u; first < dims(); first += K_CHUNK) {
        var chain = zero();
        for (var t = first; t < min(first + K_CHUNK, dims()); t++) {
            let a = y_at(y0 + t) - centre(t);
            chain = mul_add(a, a, chain);
        }
        total = select(total + chain, chain, first == 0);
    }
    return total;
}

fn square(x0: u32, y0: u32) -> f32 {
    var s = zero();
    for (var t = 0u; t < dims(); t++) {
        let e = x_at(x0 + t) - y_at(y0 + t);
        s = mul_add(e, e, s);
    }
    return s;
}

// `x_norm`: of the expanded form.
fn base(x0: u32, y0: u32, x_norm: f32) -> Base {
    if (kind() == LINEAR || kind() == CUBIC) {
        return Base(false, dot_xy(x0, y0, false));
    }
    if (kind() == LAPLACIAN) {
        var s = zero();
        for (var t = 0u; t < dims(); t++) {
            s = s + math_abs(x_at(x0 + t) - y_at(y0 + t));
        }
        return Base(false, s);
    }
    if (!is_expanded()) {
        return Base(false, square(x0, y0));
    }
    let norms = x_norm + norm_y(y0);
    let s = mul_add(-2.0f, dot_xy(x0, y0, true), norms);
    if (s > NEAR * norms) {
        return Base(false, s);
    }
    return Base(true, square(x0, y0));
}

// `(K, h)` of the table.
fn value(b: Base) -> vec2<f32> {
    let s = b.s;
    var k = s;
    var h = 1.0f;
    if (kind() == CUBIC) {
        let q = mul_add(s, scale(), shift());
        k = (q * q) * q;
        h = q * q;
    } else if (kind() == GAUSSIAN || kind() == LAPLACIAN) {
        k = zero();
        var weighted = zero();
        for (var g = 0u; g < gammas(); g++) {
            let e = math_exp(-(gamma(g) * s));
            k = select(k + e, e, g == 0);
            weighted = select(weighted + gamma(g) * e, gamma(g) * e, g == 0);
        }
        h = select(weighted, k, gammas() == 1);
    } else if (kind() == GAUSSIAN_SCALE) {
        k = zero();
        h = zero();
        for (var g = 0u; g < gammas(); g++) {
            let q = gamma(g) * s;
            let e = math_exp(-q);
            let a = q * e;
            let c = (q - 1.0f) * (gamma(g) * e);
            k = select(k + a, a, g == 0);
            h = select(h + c, c, g == 0);
        }
        k = -k;
    }
    return vec2(k, select(h, zero(), b.near && s == 0.0f));
}

// `a` of the table.
fn factor() -> f32 {
    if (kind() == LINEAR) {
        return 1.0f;
    }
    if (kind() == CUBIC) {
        return 3.0f * scale();
    }
    if (kind() == GAUSSIAN) {
        return select(-2.0f, -2.0f * gamma(0), gammas() == 1);
    }
    if (kind() == LAPLACIAN) {
        return select(-1.0f, -1.0f * gamma(0), gammas() == 1);
    }
    return 2.0f;
}

// `b_t` of the table.
fn direction(x: f32, y: f32) -> f32 {
    if (kind() == LINEAR || kind() == CUBIC) {
        return y;
    }
    let e = x - y;
    if (kind() == LAPLACIAN) {
        return select(select(zero(), -1.0f, e < 0.0f), 1.0f, e > 0.0f);
    }
    return e;
}

//! entry mmd_rows: x f32, y f32, gamma f32, centre f32, out f32 set
@compute @workgroup_size(256)
fn mmd_rows(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let n = param(2);
    for (var at = id.x; at < param(1) * n; at += groups.x * THREADS) {
        let i = at / n;
        let j = at - i * n;
        let x0 = param(8) + i * dims();
        var k = zero();
        if ((flags() & EXCLUDE_SELF) == 0 || param(7) + i != j) {
            var x_norm = 0.0f;
            if (is_expanded()) {
                x_norm = norm_x(x0);
            }
            k = value(base(x0, param(9) + j * dims(), x_norm)).x;
        }
        out_set(at, k);
    }
}

//! entry mmd_row: x f32, y f32, gamma f32, centre f32, u f32, v f32, out f32 set, grad f32 set
var<workgroup> values: array<f32, 256>;
var<workgroup> factors: array<f32, 256>;
var<workgroup> lane: array<f32, 80>;

fn exchanged() -> bool { return word(0) != 0; }
fn columns() -> u32 { return select(param(4), 1u, (flags() & UNIT) != 0); }

fn u_weight(row: u32, k: u32) -> f32 {
    if ((flags() & UNIT) != 0) {
        return 1.0f;
    }
    return u_at(select(param(12), param(13), exchanged()) + row * columns() + k);
}

fn v_weight(row: u32, k: u32) -> f32 {
    if ((flags() & UNIT) != 0) {
        return 1.0f;
    }
    return v_at(select(param(13), param(12), exchanged()) + row * columns() + k);
}

@compute @workgroup_size(256)
fn mmd_row(
    @builtin(local_invocation_index) local: u32,
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
) {
    let swap = exchanged();
    let gradients = word(1) != 0;
    let m = select(param(1), param(2), swap);
    let n = select(param(2), param(1), swap);
    let x_start = select(param(8), param(9), swap);
    let y_start = select(param(9), param(8), swap);
    let d = dims();
    let p = columns();
    for (var i = group.x; i < m; i += groups.x) {
        let x0 = x_start + i * d;
        var x_norm = 0.0f;
        if (is_expanded()) {
            x_norm = norm_x(x0);
        }
        // Of thread k: the sum for column k; of thread p: H.
        var total = zero();
        for (var first = 0u; first < n; first += CHUNK) {
            let count = min(CHUNK, n - first);
            if (local < count) {
                let j = first + local;
                // The x of an excluded pair less its y: the same pair seen from the other side.
                let same = select(param(7) + i == j, param(7) + j == i, swap);
                var pair = vec2(zero());
                if ((flags() & EXCLUDE_SELF) == 0 || !same) {
                    pair = value(base(x0, y_start + j * d, x_norm));
                }
                values[local] = pair.x;
                if (gradients) {
                    var w = u_weight(i, 0u) * v_weight(j, 0u);
                    for (var k = 1u; k < p; k++) {
                        w = mul_add(u_weight(i, k), v_weight(j, k), w);
                    }
                    factors[local] = w * pair.y;
                }
            }
            workgroupBarrier();
            // Lanes: thread 16 k + l has lane l of column k, of H after the last.
            let k = local / LANES;
            let l = local % LANES;
            if (k <= p) {
                var chain = zero();
                for (var at = l; at < count; at += LANES) {
                    if (k < p) {
                        chain = mul_add(values[at], v_weight(first + at, k), chain);
                    } else if (gradients) {
                        chain = chain + factors[at];
                    }
                }
                lane[local] = chain;
            }
            workgroupBarrier();
            for (var s = LANES / 2; s > 0; s /= 2) {
                if (k <= p && l < s) {
                    lane[local] = lane[local] + lane[local + s];
                }
                workgroupBarrier();
            }
            if (local <= p) {
                total = select(total + lane[local * LANES], lane[local * LANES], first == 0);
            }
            if (gradients) {
                for (var t = local; t < d; t += THREADS) {
                    var chain = zero();
                    for (var at = 0u; at < count; at++) {
                        let y = y_at(y_start + (first + at) * d + t);
                        if (is_expanded()) {
                            chain = mul_add(factors[at], y - centre(t), chain);
                        } else {
                            chain = mul_add(factors[at], direction(x_at(x0 + t), y), chain);
                        }
                    }
                    if (first > 0) {
                        chain = grad_at(i * d + t) + chain;
                    }
                    grad_set(i * d + t, chain);
                }
            }
            workgroupBarrier();
        }
        if (local < p) {
            out_set(i * p + local, total);
        }
        if (gradients) {
            if (local == p) {
                lane[0] = total;
            }
            workgroupBarrier();
            for (var t = local; t < d; t += THREADS) {
                var sum = zero();
                if (n > 0) {
                    sum = grad_at(i * d + t);
                }
                if (is_expanded()) {
                    sum = mul_add(x_at(x0 + t) - centre(t), lane[0], -sum);
                }
                grad_set(i * d + t, factor() * sum);
            }
            workgroupBarrier();
        }
    }
}
