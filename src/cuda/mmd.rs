//! Launches of `kernel::mmd`.

use super::plan::{Arg, ArgList, Chip, Plan, Planner, Step, THREADS};
use crate::kernel::mmd::*;
use crate::kernel::{Kernel, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 4] =
    [(&ROWS, rows), (&APPLY, apply), (&APPLY_GRAD, apply_grad), (&APPLY_BOTH, apply_both)];

/// Points i of a block of the tiled kernels, and threads.
const ROWS_OF_TILE: u32 = 64;
const TILE_THREADS: u32 = 128;
/// Blocks of a tiled kernel on a multiprocessor, for their registers.
const BLOCKS_AT_A_TIME: u32 = 2;
/// Points j of a tile.
const COLUMNS_OF_TILE: u32 = 128;
/// The tiled kernels: most coordinates.
const TILES: [(u32, &str); 3] = [(32, "mmd_tile32"), (56, "mmd_tile56"), (64, "mmd_tile64")];
/// Fewer pairs than this are not worth the tiles.
const FEW_PAIRS: u64 = 1 << 14;
/// Most words of scratch memory for the totals of single chunks.
const MAX_PARTS: u64 = 1 << 25;

/// The params and these arguments.
fn with_params(args: &[Arg]) -> ArgList {
    args.iter().fold(ArgList::new().with(Arg::Params), |list, &arg| list.with(arg))
}

/// The function with the params and these arguments.
fn step(function: &'static str, blocks: u32, args: &[Arg]) -> Step {
    Step { function, module: None, grid: [blocks, 1, 1], block: [THREADS, 1, 1], shared: 0, args: with_params(args) }
}

fn rows(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: MmdParams = params(bytes);
    super::plan::sweep("mmd_rows", 5, u64::from(p.m) * u64::from(p.n), chip)
}

/// A launch seen from one side: its buffers in their roles.
struct Side {
    m: u32,
    n: u32,
    x_at: u32,
    y_at: u32,
    x: Arg,
    y: Arg,
    u: Arg,
    v: Arg,
    out: Arg,
    /// Any buffer without gradients.
    grad: Arg,
    gradients: bool,
    exchanged: bool,
}

fn apply(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let [v, out] = [4, 5].map(Arg::Buffer);
    one_side(Plan::default(), &params(bytes), [v, v, out, out], false, false, chip)
}

fn apply_grad(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    one_side(Plan::default(), &params(bytes), [4, 5, 6, 7].map(Arg::Buffer), true, false, chip)
}

fn apply_both(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: MmdParams = params(bytes);
    let plan = one_side(Plan::default(), &p, [4, 5, 6, 7].map(Arg::Buffer), true, false, chip);
    one_side(plan, &p, [5, 4, 8, 9].map(Arg::Buffer), true, true, chip)
}

/// Adds the steps of one side; `weights_and_outs`: u, v, out, grad in their roles.
fn one_side(
    plan: Plan,
    p: &MmdParams,
    [u, v, out, grad]: [Arg; 4],
    gradients: bool,
    exchanged: bool,
    chip: &Chip,
) -> Plan {
    let (x, y) = (Arg::Buffer(0), Arg::Buffer(1));
    let side = match exchanged {
        false => Side { m: p.m, n: p.n, x_at: p.x_at, y_at: p.y_at, x, y, u, v, out, grad, gradients, exchanged },
        true => Side { m: p.n, n: p.m, x_at: p.y_at, y_at: p.x_at, x: y, y: x, u, v, out, grad, gradients, exchanged },
    };
    if side.m == 0 {
        return plan;
    }
    match tiled(plan, p, &side, chip) {
        Some(plan) => plan,
        None => plan.then(by_row(&side)),
    }
}

/// A block per point.
fn by_row(s: &Side) -> Step {
    let (gamma, centre) = (Arg::Buffer(2), Arg::Buffer(3));
    let flags = [Arg::Word(s.exchanged.into()), Arg::Word(s.gradients.into())];
    let args = [s.x, s.y, gamma, centre, s.u, s.v, s.out, s.grad, flags[0], flags[1]];
    step("mmd_row", s.m.min(1 << 20), &args)
}

/// The steps by tiles, where they apply and fit.
fn tiled(plan: Plan, p: &MmdParams, s: &Side, chip: &Chip) -> Option<Plan> {
    let products = matches!(Kind::from_code(p.kind)?, Kind::Linear | Kind::Cubic)
        || Kind::from_code(p.kind)?.is_expanded(p.d as usize);
    let one_column = p.flags & UNIT != 0 || p.p == 1;
    let pairs = u64::from(s.m) * u64::from(s.n);
    let (most, function) = TILES.into_iter().find(|(most, _)| p.d <= *most)?;
    if !products || !one_column || p.d == 0 || pairs < FEW_PAIRS {
        return None;
    }
    // Points of both sides transposed, norms, totals; the other side's steps use the same memory.
    let pad = |n: u32| n.next_multiple_of(COLUMNS_OF_TILE);
    let (x_pad, y_pad) = (pad(s.m), pad(s.n));
    let points = u64::from(p.d + 1) * (u64::from(x_pad) + u64::from(y_pad));
    let totals = u64::from(s.m) * u64::from(p.d + 2);
    let chunks = s.n.div_ceil(CHUNK as u32);
    let blocks = s.m.div_ceil(ROWS_OF_TILE);
    // Few blocks share the chunks, each total of a chunk in a part of its own.
    let fits = totals * u64::from(chunks) <= MAX_PARTS;
    let per = if fits { chunks.div_ceil(shares_for(blocks, chip).min(chunks)) } else { chunks };
    let shares = chunks.div_ceil(per);
    let parts = if shares > 1 { chunks } else { 1 };
    let words = points + totals * u64::from(parts);
    // Coordinates of the points i and j; f; lanes. Rows are longer by 4 words.
    let shared = 4 * (most * (ROWS_OF_TILE + 4 + COLUMNS_OF_TILE + 4) + ROWS_OF_TILE * (COLUMNS_OF_TILE + 4 + 16));
    if shared + 64 > chip.shared_per_block || words > 1 << 31 {
        return None;
    }
    let at = |words: u64| Arg::Scratch(words as u32);
    let xt = 0;
    let yt = u64::from(p.d) * u64::from(x_pad);
    let xn = yt + u64::from(p.d) * u64::from(y_pad);
    let yn = xn + u64::from(x_pad);
    let totals_at = at(yn + u64::from(y_pad));
    let (gamma, centre) = (Arg::Buffer(2), Arg::Buffer(3));
    let centred = |points, transposed, norms, count: u32, first: u32, pad: u32| {
        let words = [Arg::Word(count), Arg::Word(first), Arg::Word(pad)];
        let args = [points, centre, at(transposed), at(norms), words[0], words[1], words[2]];
        step("mmd_centre", chip.sweep(pad.into()), &args)
    };
    let exchanged = Arg::Word(s.exchanged.into());
    let pads = [x_pad, y_pad, per].map(Arg::Word);
    let args =
        [s.x, s.y, gamma, s.u, s.v, at(xt), at(yt), at(xn), at(yn), totals_at, exchanged, pads[0], pads[1], pads[2]];
    let tile = step(function, blocks, &args).shaped([blocks, shares, 1], [TILE_THREADS, 1, 1]).shared(shared);
    let columns = if s.gradients { p.d + 1 } else { 1 };
    let flags = [Arg::Word(parts), Arg::Word(s.gradients.into())];
    let finish = [s.x, gamma, centre, totals_at, s.out, s.grad, exchanged, flags[0], flags[1]];
    let finish = step("mmd_finish", chip.sweep(u64::from(s.m) * u64::from(columns)), &finish);
    let scratch = plan.scratch.max(words as usize);
    let plan = plan
        .then(centred(s.x, xt, xn, s.m, s.x_at, x_pad))
        .then(centred(s.y, yt, yn, s.n, s.y_at, y_pad))
        .then(tile)
        .then(finish);
    Some(plan.scratch(scratch))
}

/// How many blocks share the chunks of one tile of points, so that the last round of blocks on the chip
/// is not much emptier than the others.
fn shares_for(blocks: u32, chip: &Chip) -> u32 {
    let slots = chip.multiprocessors * BLOCKS_AT_A_TIME;
    if blocks >= 3 * slots {
        return 1;
    }
    let rounds = |shares: u32| (blocks * shares).div_ceil(slots) as f32 / shares as f32;
    let most = (4 * slots).div_ceil(blocks).max(8);
    let best = (1..=most).map(rounds).fold(f32::INFINITY, f32::min);
    (1..=most).find(|&shares| rounds(shares) <= 1.05 * best).unwrap_or(1)
}
