// Random tensors: uniform, normal, mask, below, and the counter's advance. Mirror of
// src/reference/random.rs; equations and buffers in src/kernel/random.rs.
//
// Launch: any number of workgroups of 256 along x; a thread owns a Philox block, four elements. `$DRAW` is what
// is drawn. Sums: none. Cost: 4 bytes written per element; about 200 integer operations per four elements, and as
// many again in floating point for each pair of normal numbers.

const A: u32 = 7;
const B: u32 = 8;
const C: u32 = 9;

fn draw_uniform(s: Stream, i: u32) -> vec4<u32> {
    let x = uniform4(s, i);
    let a = param_f32(A);
    let b = param_f32(B) - a;
    return bitcast<vec4<u32>>(vec4(mul_add(x.x, b, a), mul_add(x.y, b, a), mul_add(x.z, b, a), mul_add(x.w, b, a)));
}

fn draw_normal(s: Stream, i: u32) -> vec4<u32> {
    let x = normal4(s, i);
    let a = param_f32(A);
    let b = param_f32(B);
    return bitcast<vec4<u32>>(vec4(mul_add(x.x, b, a), mul_add(x.y, b, a), mul_add(x.z, b, a), mul_add(x.w, b, a)));
}

fn draw_mask(s: Stream, i: u32) -> vec4<u32> {
    return select(vec4(param(C)), vec4(param(B)), uniform4(s, i) < vec4(param_f32(A)));
}

fn draw_below(s: Stream, i: u32) -> vec4<u32> {
    let w = words4(s, i);
    let bound = param(A);
    return vec4(mul_high(w.x, bound), mul_high(w.y, bound), mul_high(w.z, bound), mul_high(w.w, bound));
}

//! entry random_fill: counter u32, out u32 set
@compute @workgroup_size(256)
fn random_fill(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let s = Stream(vec2(param(0), param(1)), param(2), param(3) + counter_at(0), param(4));
    let offset = param(5);
    let n = param(6);
    for (var i = id.x; i < (n + 3) / 4; i += groups.x * THREADS) {
        let drawn = $DRAW(s, i);
        for (var k = 0u; k < 4 && 4 * i + k < n; k++) {
            out_set(offset + 4 * i + k, drawn[k]);
        }
    }
}

//! entry random_advance: counter u32 set
@compute @workgroup_size(1)
fn random_advance() {
    counter_set(0, counter_at(0) + param(0));
}
