// Optimiser steps over a flat range of parameters and state. Mirror of src/reference/optim.rs; rules and buffers in
// src/kernel/optim.rs.
//
// Launch: any number of workgroups of 256, a thread per element. Sums: none. Cost: 4 bytes per gradient, 8 per
// parameter and per state element.

const NESTEROV: u32 = 1;

fn g_place(i: u32) -> u32 { return param(1) + i; }
fn w_place(i: u32) -> u32 { return param(2) + i; }
fn state_place(i: u32) -> u32 { return param(3) + i; }
fn scalar(k: u32) -> f32 { return step_at(param(4) + k); }
fn beta1() -> f32 { return param_f32(6); }
fn rest1() -> f32 { return param_f32(7); }
fn beta2() -> f32 { return param_f32(8); }
fn rest2() -> f32 { return param_f32(9); }
fn eps() -> f32 { return param_f32(10); }
fn decay() -> f32 { return param_f32(12); }

// The gradient with coupled weight decay.
fn decayed(w: f32, g: f32) -> f32 { return mul_add(param_f32(11), w, g); }

//! entry optim_sgd: g f32, step f32, w f32 set
@compute @workgroup_size(256)
fn optim_sgd(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < param(0); i += groups.x * THREADS) {
        let w = w_at(w_place(i));
        let g = decayed(w, g_at(g_place(i)));
        w_set(w_place(i), mul_add(-scalar(0), g, w));
    }
}

//! entry optim_momentum: g f32, step f32, w f32 set, b f32 set
@compute @workgroup_size(256)
fn optim_momentum(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < param(0); i += groups.x * THREADS) {
        let w = w_at(w_place(i));
        let g = decayed(w, g_at(g_place(i)));
        let b = mul_add(scalar(1), b_at(state_place(i)), scalar(2) * g);
        var u = b;
        if ((param(5) & NESTEROV) != 0) {
            u = mul_add(beta1(), b, g);
        }
        b_set(state_place(i), b);
        w_set(w_place(i), mul_add(-scalar(0), u, w));
    }
}

//! entry optim_adam: g f32, step f32, w f32 set, m f32 set, v f32 set
@compute @workgroup_size(256)
fn optim_adam(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < param(0); i += groups.x * THREADS) {
        let w = w_at(w_place(i));
        let g = decayed(w, g_at(g_place(i)));
        let m = mul_add(beta1(), m_at(state_place(i)), rest1() * g);
        let v = mul_add(beta2(), v_at(state_place(i)), rest2() * (g * g));
        let d = mul_add(root(v), scalar(3), scalar(4));
        let u = mul_add(scalar(1), m, scalar(2) * g);
        m_set(state_place(i), m);
        v_set(state_place(i), v);
        w_set(w_place(i), mul_add(-(scalar(0) * decay()), w, w) - quotient(u, d));
    }
}

//! entry optim_amsgrad: g f32, step f32, w f32 set, m f32 set, v f32 set, top f32 set
@compute @workgroup_size(256)
fn optim_amsgrad(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < param(0); i += groups.x * THREADS) {
        let w = w_at(w_place(i));
        let g = decayed(w, g_at(g_place(i)));
        let m = mul_add(beta1(), m_at(state_place(i)), rest1() * g);
        let v = mul_add(beta2(), v_at(state_place(i)), rest2() * (g * g));
        let top = larger(top_at(state_place(i)), v);
        let d = mul_add(root(top), scalar(3), scalar(4));
        let u = mul_add(scalar(1), m, scalar(2) * g);
        m_set(state_place(i), m);
        v_set(state_place(i), v);
        top_set(state_place(i), top);
        w_set(w_place(i), mul_add(-(scalar(0) * decay()), w, w) - quotient(u, d));
    }
}

//! entry optim_adadelta: g f32, step f32, w f32 set, q f32 set, a f32 set
@compute @workgroup_size(256)
fn optim_adadelta(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < param(0); i += groups.x * THREADS) {
        let w = w_at(w_place(i));
        let g = decayed(w, g_at(g_place(i)));
        let a = a_at(state_place(i));
        let q = mul_add(beta1(), q_at(state_place(i)), rest1() * (g * g));
        let u = quotient(root(a + eps()), root(q + eps())) * g;
        q_set(state_place(i), q);
        a_set(state_place(i), mul_add(beta1(), a, rest1() * (u * u)));
        w_set(w_place(i), mul_add(-scalar(0), u, w));
    }
}

//! entry optim_rmsprop: g f32, step f32, w f32 set, q f32 set
@compute @workgroup_size(256)
fn optim_rmsprop(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < param(0); i += groups.x * THREADS) {
        let w = w_at(w_place(i));
        let g = decayed(w, g_at(g_place(i)));
        let q = mul_add(beta1(), q_at(state_place(i)), rest1() * (g * g));
        q_set(state_place(i), q);
        w_set(w_place(i), mul_add(-scalar(0), quotient(g, root(q) + eps()), w));
    }
}

//! entry optim_adagrad: g f32, step f32, w f32 set, q f32 set
@compute @workgroup_size(256)
fn optim_adagrad(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < param(0); i += groups.x * THREADS) {
        let w = w_at(w_place(i));
        let g = decayed(w, g_at(g_place(i)));
        let q = mul_add(g, g, q_at(state_place(i)));
        q_set(state_place(i), q);
        w_set(w_place(i), mul_add(-scalar(0), quotient(g, root(q) + eps()), w));
    }
}

//! entry optim_adamax: g f32, step f32, w f32 set, m f32 set, u f32 set
@compute @workgroup_size(256)
fn optim_adamax(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < param(0); i += groups.x * THREADS) {
        let w = w_at(w_place(i));
        let g = decayed(w, g_at(g_place(i)));
        let m = mul_add(beta1(), m_at(state_place(i)), rest1() * g);
        let u = larger(beta2() * u_at(state_place(i)), math_abs(g) + eps());
        m_set(state_place(i), m);
        u_set(state_place(i), u);
        w_set(w_place(i), mul_add(-scalar(0), quotient(m, u), w));
    }
}

//! entry optim_ema: g f32, step f32, w f32 set
@compute @workgroup_size(256)
fn optim_ema(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < param(0); i += groups.x * THREADS) {
        let w = w_at(w_place(i));
        w_set(w_place(i), mul_add(scalar(0), g_at(g_place(i)) - w, w));
    }
}
