// What an adapter can do at most: fused multiply-adds in registers, in the form that is exact there. `cytograd bench`
// shows other kernels' rates beside it.
//
// out[i] = ((v0 + v1) + ...) + v7 after `steps` times v_j = fma(v_j, a, b), from v_j = i + j.
// Launch: any number of workgroups of 256, a thread per element. 16 operations per element and step.

//! entry ceiling_fma: out f32 set
@compute @workgroup_size(256)
fn ceiling_fma(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let a = param_f32(2);
    let b = param_f32(3);
    for (var i = id.x; i < param(0); i += groups.x * THREADS) {
        let x = f32(i);
        var v0 = x;
        var v1 = x + 1.0f;
        var v2 = x + 2.0f;
        var v3 = x + 3.0f;
        var v4 = x + 4.0f;
        var v5 = x + 5.0f;
        var v6 = x + 6.0f;
        var v7 = x + 7.0f;
        for (var s = 0u; s < param(1); s++) {
            v0 = mul_add(v0, a, b);
            v1 = mul_add(v1, a, b);
            v2 = mul_add(v2, a, b);
            v3 = mul_add(v3, a, b);
            v4 = mul_add(v4, a, b);
            v5 = mul_add(v5, a, b);
            v6 = mul_add(v6, a, b);
            v7 = mul_add(v7, a, b);
        }
        out_set(i, ((((((v0 + v1) + v2) + v3) + v4) + v5) + v6) + v7);
    }
}
