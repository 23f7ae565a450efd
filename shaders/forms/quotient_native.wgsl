// `a / b`: the adapter's own.
fn quotient(a: f32, b: f32) -> f32 { return a / b; }
