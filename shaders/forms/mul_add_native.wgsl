// `a * b + c`, rounded once: the adapter's own.
fn mul_add(a: f32, b: f32, c: f32) -> f32 { return fma(a, b, c); }
