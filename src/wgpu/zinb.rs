//! Launches of `kernel::zinb`.

use super::plan::{Arg, Plan, Planner, Step, groups, teams};
use crate::kernel::zinb::*;
use crate::kernel::{Kernel, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 4] = [
    (&VALUE, |bytes| plan(bytes, false, false)),
    (&VALUE_GRAD, |bytes| plan(bytes, false, true)),
    (&CSR_VALUE, |bytes| plan(bytes, true, false)),
    (&CSR_VALUE_GRAD, |bytes| plan(bytes, true, true)),
];

/// Values of the table for each segment and gene.
const FIELDS: usize = 6;

fn plan(bytes: &[u8], sparse: bool, gradients: bool) -> Plan {
    let p: ZinbParams = params(bytes);
    let (rows, genes) = (p.rows as usize, p.genes as usize);
    let entries = p.segments as usize * genes;
    let cells = rows.div_ceil(p.repeat.max(1) as usize);
    // In scratch memory: the table, two words per row, dense counts.
    let rows_at = FIELDS * entries;
    let dense_at = rows_at + 2 * rows;
    let words = dense_at + if sparse { cells * genes } else { 0 };
    let inputs = if sparse { 3 } else { 1 };
    let [m, r, segment, h] = [0, 1, 2, 3].map(|k| Arg::Buffer(inputs + k));
    // Without gradients there are no weights; `r` stands in.
    let weight = if gradients { Arg::Buffer(inputs + 4) } else { r };
    let first_output = inputs + 4 + u8::from(gradients);
    let (x, x_at) = if sparse { (Arg::Scratch, dense_at as u32) } else { (Arg::Buffer(0), p.x_at) };
    let with_words = |step: Step| step.word(x_at).word(rows_at as u32);
    if rows == 0 {
        return Plan::nothing();
    }
    let mut plan = Plan::default().scratch(words.max(1));
    if genes > 0 {
        plan = plan.then(Step::new("zinb_table", &[r, Arg::Scratch], groups(entries as u64)));
    }
    let of_rows = Step::new("zinb_rows", &[segment, weight, Arg::Scratch], groups(rows as u64));
    plan = plan.then(with_words(of_rows).word(gradients.into()));
    if sparse && genes > 0 {
        let csr = [Arg::Buffer(0), Arg::Buffer(1), Arg::Buffer(2), Arg::Scratch];
        plan = plan.then(with_words(Step::new("zinb_dense", &csr, teams(cells as u64))));
    }
    if !gradients || p.flags & NO_VALUE == 0 {
        let args = [x, m, h, Arg::Scratch, Arg::Buffer(first_output)];
        plan = plan.then(with_words(Step::new("zinb_value", &args, teams(rows as u64))));
    }
    if gradients && genes > 0 {
        let [dm, dr, dh] = [1, 2, 3].map(|k| Arg::Buffer(first_output + k));
        let height = if p.flags & R_BLOCKS != 0 { BLOCK } else { 1 };
        let threads = rows.div_ceil(height) * genes;
        let args = [x, m, h, Arg::Scratch, dm, dr, dh];
        plan = plan.then(with_words(Step::new("zinb_grad", &args, groups(threads as u64))));
    }
    plan
}
