//! Launches of `kernel::elementwise`.

use super::plan::{Plan, Planner, Step, buffers, groups, sweep};
use crate::kernel::elementwise::*;
use crate::kernel::{Kernel, Layout, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 4] = [(&UNARY, unary), (&BINARY, binary), (&SELECT, select), (&FILL, fill)];

/// In the order of [`Unary::ALL`].
const UNARY_FUNCTIONS: [&str; 32] = [
    "unary_neg",
    "unary_abs",
    "unary_sign",
    "unary_sqrt",
    "unary_rsqrt",
    "unary_recip",
    "unary_square",
    "unary_exp",
    "unary_expm1",
    "unary_ln",
    "unary_log1p",
    "unary_sin",
    "unary_cos",
    "unary_tanh",
    "unary_sigmoid",
    "unary_log_sigmoid",
    "unary_softplus",
    "unary_erf",
    "unary_lgamma",
    "unary_digamma",
    "unary_trigamma",
    "unary_relu",
    "unary_leaky_relu",
    "unary_elu",
    "unary_add_scalar",
    "unary_mul_scalar",
    "unary_pow_scalar",
    "unary_clamp",
    "unary_step",
    "unary_elu_slope",
    "unary_in_range",
    "unary_from_u32",
];

/// In the order of [`Binary::ALL`].
const BINARY_FUNCTIONS: [&str; 13] = [
    "binary_add",
    "binary_sub",
    "binary_mul",
    "binary_div",
    "binary_max",
    "binary_min",
    "binary_pow",
    "binary_gt",
    "binary_ge",
    "binary_lt",
    "binary_le",
    "binary_eq",
    "binary_ne",
];

fn unary(bytes: &[u8]) -> Plan {
    let p: UnaryParams = params(bytes);
    map("elementwise_unary", 2, &[p.x], |step| {
        step.choose("$F", UNARY_FUNCTIONS[p.op as usize]).choose("$PLACE", place(&p.x))
    })
}

fn binary(bytes: &[u8]) -> Plan {
    let p: BinaryParams = params(bytes);
    map("elementwise_binary", 3, &[p.x, p.y], |step| {
        let step = step.choose("$F", BINARY_FUNCTIONS[p.op as usize]);
        step.choose("$PLACE_X", place(&p.x)).choose("$PLACE_Y", place(&p.y))
    })
}

fn select(bytes: &[u8]) -> Plan {
    let p: SelectParams = params(bytes);
    let views = [p.cond, p.x, p.y];
    let all = if views.iter().all(Layout::is_contiguous) { "flat" } else { "strided" };
    map("elementwise_select", 4, &views, |step| step.choose("$PLACE", all))
}

fn fill(bytes: &[u8]) -> Plan {
    let p: FillParams = params(bytes);
    sweep("elementwise_fill", 1, p.n.into())
}

/// How the place of an element is found.
fn place(view: &Layout) -> &'static str {
    if view.is_contiguous() { "flat" } else { "strided" }
}

fn map(entry: &'static str, count: u8, views: &[Layout], choose: impl Fn(Step) -> Step) -> Plan {
    let n = views[0].len() as u64;
    if n == 0 { Plan::nothing() } else { Plan::one(choose(Step::new(entry, &buffers(count), groups(n)))) }
}
