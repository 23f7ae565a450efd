// One step of stochastic gradient Langevin dynamics, in place. Mirror of src/reference/sgld.rs; equation and
// buffers in src/kernel/sgld.rs.
//
// Launch: any number of workgroups of 256 along x; a thread owns a Philox block, four elements. Sums: none.
// Cost: 12 bytes per element; about 400 operations per four elements.

const CLAMP_GRADIENT: u32 = 1;
const CLAMP_BOX: u32 = 2;

// NaN stays.
fn sgld_clamp(v: f32, a: f32, b: f32) -> f32 { return select(select(v, b, v > b), a, v < a); }

//! entry sgld_step: g f32, counter u32, x f32 set
@compute @workgroup_size(256)
fn sgld_step(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let s = Stream(vec2(param(0), param(1)), param(2), param(3) + counter_at(0), param(4));
    let n = param(5);
    let flags = param(8);
    let g_max = param_f32(11);
    for (var i = id.x; i < (n + 3) / 4; i += groups.x * THREADS) {
        let noise = normal4(s, i);
        for (var k = 0u; k < 4 && 4 * i + k < n; k++) {
            var slope = g_at(param(6) + 4 * i + k);
            if ((flags & CLAMP_GRADIENT) != 0) {
                slope = sgld_clamp(slope, -g_max, g_max);
            }
            var t = mul_add(param_f32(9), slope, x_at(param(7) + 4 * i + k));
            t = mul_add(param_f32(10), noise[k], t);
            if ((flags & CLAMP_BOX) != 0) {
                t = sgld_clamp(t, param_f32(12), param_f32(13));
            }
            x_set(param(7) + 4 * i + k, t);
        }
    }
}
