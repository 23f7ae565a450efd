//! Placeholder until the portable functions land.
macro_rules! stub { ($($f:ident)*) => { $(#[doc(hidden)] #[inline(always)] pub fn $f(x: f32) -> f32 { x })* } }
stub!(exp expm1 ln log1p sin cos tanh sigmoid log_sigmoid softplus erf lgamma digamma trigamma relu);
#[doc(hidden)]
pub fn leaky_relu(x: f32, a: f32) -> f32 {
    if x > 0.0 { x } else { a * x }
}
#[doc(hidden)]
pub fn elu(x: f32, a: f32) -> f32 {
    if x > 0.0 { x } else { a * x }
}
#[doc(hidden)]
pub fn pow(x: f32, _: f32) -> f32 {
    x
}
