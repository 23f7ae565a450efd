// What follows a product, as in src/reference/gemm.rs; `a` is the activation's scalar.

fn activation_none(x: f32, a: f32) -> f32 { return x; }
fn activation_relu(x: f32, a: f32) -> f32 { return math_relu(x); }
fn activation_leaky_relu(x: f32, a: f32) -> f32 { return math_leaky_relu(x, a); }
fn activation_elu(x: f32, a: f32) -> f32 { return math_elu(x, a); }
fn activation_tanh(x: f32, a: f32) -> f32 { return math_tanh(x); }
fn activation_sigmoid(x: f32, a: f32) -> f32 { return math_sigmoid(x); }
fn activation_softplus(x: f32, a: f32) -> f32 { return math_softplus(x); }
