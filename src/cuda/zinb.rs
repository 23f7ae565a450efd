//! Launches of `kernel::zinb`.

use super::plan::{Arg, ArgList, Chip, Plan, Planner, Step, THREADS};
use crate::kernel::zinb::*;
use crate::kernel::{Kernel, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 4] =
    [(&VALUE, value), (&VALUE_GRAD, value_grad), (&CSR_VALUE, csr_value), (&CSR_VALUE_GRAD, csr_value_grad)];

/// Genes of a block of the gradients.
const COLUMNS: u32 = 32;

fn value(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    plan(bytes, false, false, chip)
}

fn value_grad(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    plan(bytes, false, true, chip)
}

fn csr_value(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    plan(bytes, true, false, chip)
}

fn csr_value_grad(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    plan(bytes, true, true, chip)
}

/// The function with the params and these arguments.
fn step(function: &'static str, grid: [u32; 3], args: &[Arg]) -> Step {
    let args = args.iter().fold(ArgList::new().with(Arg::Params), |list, &arg| list.with(arg));
    Step { function, module: None, grid, block: [THREADS, 1, 1], shared: 0, args }
}

fn plan(bytes: &[u8], sparse: bool, gradients: bool, chip: &Chip) -> Plan {
    let p: ZinbParams = params(bytes);
    if p.rows == 0 {
        return Plan::nothing();
    }
    // The first buffer after the counts.
    let first = if sparse { 3 } else { 1 };
    let buffer = |i: u8| Arg::Buffer(first + i);
    let (m, r, segment, h) = (buffer(0), buffer(1), buffer(2), buffer(3));
    let table = p.segments * p.genes;
    let many = 1 << 20;
    let mut plan = Plan::default();
    if table > 0 {
        plan = plan.then(step("zinb_dispersion", [chip.sweep(table.into()), 1, 1], &[r, Arg::Scratch(0)]));
    }
    let mut words = 5 * table as usize;
    let (x, x_at) = if sparse {
        let x = Arg::Scratch(5 * table);
        let cells = p.rows.div_ceil(p.repeat);
        words += cells as usize * p.genes as usize;
        let counts = [Arg::Buffer(0), Arg::Buffer(1), Arg::Buffer(2), x];
        plan = plan.then(step("zinb_dense", [cells.min(many), 1, 1], &counts));
        (x, 0)
    } else {
        (Arg::Buffer(0), p.x_at)
    };
    let of_table = [Arg::Scratch(0), Arg::Word(x_at)];
    let ll = buffer(if gradients { 5 } else { 4 });
    if !gradients || p.flags & NO_VALUE == 0 {
        let args = [x, m, r, segment, h, ll, of_table[0], of_table[1]];
        // A thread per lane of a row's sum, and whole warps.
        let threads = p.genes.next_power_of_two().clamp(32, THREADS);
        plan = plan.then(
            step("zinb_value", [p.rows.min(many), 1, 1], &args).shaped([p.rows.min(many), 1, 1], [threads, 1, 1]),
        );
    }
    if gradients && p.genes > 0 {
        let grid = [p.genes.div_ceil(COLUMNS), p.rows.div_ceil(BLOCK as u32).min(65535), 1];
        let [weight, dm, dr, dh] = [4, 6, 7, 8].map(buffer);
        let args = [x, m, r, segment, h, weight, dm, dr, dh, of_table[0], of_table[1]];
        plan = plan.then(step("zinb_grad", grid, &args));
    }
    plan.scratch(words)
}
