//! The loops around the innermost one: which part of which matrix is copied when.
//!
//! Left elements are read one at a time from where they are; rows of the right matrix fill registers
//! and are copied into panels first. Of `a b` and `(b' a')'` the form is taken that copies less.

use super::micro::{Ahead, Table, table};
use super::{View, pack};
use crate::cpu::lanes::with_scratch;
use crate::kernel::gemm::K_CHUNK;

/// Columns of the right matrix that are copied at a time: a chunk of them (256 KiB) stays in the
/// second-level cache.
const COLS: usize = 256;
/// Rows of the left matrix between two uses of a panel: a chunk of them stays there as well.
const ROWS: usize = 512;
/// Columns of the output that the transposed form makes at a time.
const TURNED: usize = 96;
/// Largest right matrix of the transposed form, in elements: it is copied whole.
const TURNED_WHOLE: usize = 512 * 1024;

/// `out = a b` with `a` `[m, k]`, `b` `[k, n]`; rows of `out` are `step` apart. Calls
/// `finish(first, cols)` for runs of columns when their sums are complete.
///
/// # Safety
/// The matrices have these sizes, and nobody else uses the output.
pub unsafe fn multiply(
    a: &View,
    b: &View,
    m: usize,
    n: usize,
    k: usize,
    out: *mut f32,
    step: usize,
    finish: &dyn Fn(usize, usize),
) {
    if k == 0 {
        for i in 0..m {
            // SAFETY: the output has m rows of n columns.
            unsafe { out.add(i * step).write_bytes(0, n) };
        }
        return finish(0, n);
    }
    let table = table();
    // SAFETY: the caller's.
    unsafe {
        if turned_is_cheaper(table, a, b, m, n, k) {
            turned(table, a, b, m, n, k, out, step, finish);
        } else {
            straight(table, a, b, m, n, k, out, step, finish);
        }
    }
}

/// Whether to compute the transpose. Costs in units of a 16th of a cycle, roughly: a step of the
/// inner loop occupies half a cycle, a copied element less if rows stay rows.
fn turned_is_cheaper(table: &Table, a: &View, b: &View, m: usize, n: usize, k: usize) -> bool {
    // Only then a row of the transpose is contiguous. Read by columns it would take part of a
    // line from each of many pages.
    if b.row != 1 || m.next_multiple_of(table.lanes) * k > TURNED_WHOLE {
        return false;
    }
    let cost = |rows: usize, left: &View, cols: usize, right: &View| {
        let steps = rows * k * cols.div_ceil(table.lanes) * 8;
        let left = if matches!(Left::of(left), Left::Copied) { rows * k * 16 } else { 0 };
        steps + left + cols * k * if right.col == 1 { 1 } else { 4 }
    };
    cost(n, &b.turned(), m, &a.turned()) + m * n * 4 < cost(m, a, n, b)
}

/// Widths in registers of panels that cover `cols` columns.
fn widths(table: &Table, cols: usize, largest: usize) -> impl Iterator<Item = usize> {
    let mut left = cols.div_ceil(table.lanes);
    std::iter::from_fn(move || {
        let width = match left {
            0 => return None,
            3.. if largest == 4 => 4,
            2.. => 2,
            _ => 1,
        };
        left = left.saturating_sub(width);
        Some(width)
    })
}

/// How the inner loop reads left elements.
#[derive(Clone, Copy)]
enum Left {
    /// From the matrix itself: whether elements of a row are neighbours, else those of a column
    /// are; the distance of its rows or columns.
    InPlace { by_row: bool, step: isize },
    /// From a copy, in which the blocks of rows follow each other and each has columns of its height.
    Copied,
}

impl Left {
    fn of(a: &View) -> Left {
        match (a.row, a.col) {
            (1, step) => Left::InPlace { by_row: false, step },
            (step, 1) => Left::InPlace { by_row: true, step },
            _ => Left::Copied,
        }
    }
}

/// Blocks of nearly equal height, at most `largest`: (first row, height).
fn blocks(rows: usize, largest: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = rows.div_ceil(largest);
    let mut row = 0;
    (0..count).map(move |block| {
        let (first, height) = (row, (rows - row).div_ceil(count - block));
        row += height;
        (first, height)
    })
}

/// Rows of the right matrix, or of a copy, as the inner loop reads them.
#[derive(Clone, Copy)]
struct Panel {
    at: *const f32,
    step: isize,
    /// Width.
    registers: usize,
    /// Number of rows.
    depth: usize,
}

/// Rows of sums; if `first`, their old content is not read.
#[derive(Clone, Copy)]
struct Sums {
    at: *mut f32,
    step: usize,
    first: bool,
}

/// `out (+)= a panel` for `rows` rows, of which `a` gives the addresses.
///
/// # Safety
/// As for [`super::micro::Micro`].
#[inline(always)]
unsafe fn rows_by_panel(
    table: &Table,
    left: Left,
    a: impl Fn(usize) -> *const f32,
    rows: usize,
    panel: Panel,
    out: Sums,
    mut ahead: impl FnMut() -> Ahead,
) {
    for (row, height) in blocks(rows, table.max_rows(panel.registers)) {
        let (by_row, a_step) = match left {
            Left::InPlace { by_row, step } => (by_row, step),
            Left::Copied => (false, height as isize),
        };
        let micro = table.get(by_row, panel.registers, height);
        // SAFETY: the caller's.
        unsafe {
            let to = out.at.add(row * out.step);
            micro(panel.depth, a(row), a_step, panel.at, panel.step, to, out.step, out.first, ahead());
        }
    }
}

/// The product as it stands.
///
/// # Safety
/// As `multiply`.
unsafe fn straight(
    table: &Table,
    a: &View,
    b: &View,
    m: usize,
    n: usize,
    k: usize,
    out: *mut f32,
    step: usize,
    finish: &dyn Fn(usize, usize),
) {
    let wide = 2 * table.lanes;
    let height = table.max_rows(2);
    // Rows a multiple of 4 KiB apart share one set of the first-level cache, too small for a block.
    let left = match Left::of(a) {
        Left::InPlace { by_row: true, step } if step % 1024 == 0 && m.min(n) > 2 * wide => Left::Copied,
        left => left,
    };
    let in_place = b.col == 1 && m <= height;
    let (panels, edge) = (K_CHUNK * COLS.next_multiple_of(wide), ROWS * wide);
    let copied = if matches!(left, Left::Copied) { ROWS * K_CHUNK } else { 0 };
    with_scratch(panels + edge + copied, |panels_at| {
        let edge_at = panels_at.wrapping_add(panels);
        let copy_at = edge_at.wrapping_add(edge);
        for col in (0..n).step_by(COLS) {
            let cols = COLS.min(n - col);
            for from in (0..k).step_by(K_CHUNK) {
                let depth = K_CHUNK.min(k - from);
                let mut ahead = ahead(b, from, col, k, n);
                // SAFETY: columns col.. and rows from.. exist; the scratch has room for the panels,
                // for a panel's width of sums and for the left rows.
                unsafe {
                    let skip = if in_place { cols / wide * wide } else { 0 };
                    if skip < cols {
                        pack::panels(b, from, depth, col + skip, cols - skip, wide, panels_at.add(skip * depth));
                    }
                    for row in (0..m).step_by(ROWS) {
                        let rows = ROWS.min(m - row);
                        if let Left::Copied = left {
                            for (first, height) in blocks(rows, height) {
                                let to = copy_at.add(first * depth);
                                pack::transpose(a.pointer(row + first, from), a.row, a.col, height, depth, to, height);
                            }
                        }
                        let at = |i: usize| match left {
                            Left::InPlace { .. } => a.pointer(row + i, from),
                            Left::Copied => copy_at.add(i * depth).cast_const(),
                        };
                        for first in (0..cols).step_by(wide) {
                            let width = wide.min(cols - first);
                            let (at_panel, step_panel) = match first < skip {
                                true => (b.pointer(from, col + first), b.row),
                                false => (panels_at.add(first * depth).cast_const(), wide as isize),
                            };
                            let registers = width.div_ceil(table.lanes);
                            let panel = Panel { at: at_panel, step: step_panel, registers, depth };
                            let to = out.add(row * step + col + first);
                            let is_first = from == 0;
                            if width == wide {
                                let sums = Sums { at: to, step, first: is_first };
                                rows_by_panel(table, left, at, rows, panel, sums, &mut ahead);
                                continue;
                            }
                            // Sums of columns that are not there go to the scratch.
                            let sums = Sums { at: edge_at, step: wide, first: true };
                            rows_by_panel(table, left, at, rows, panel, sums, &mut ahead);
                            for i in 0..rows {
                                for j in 0..width {
                                    let (to, sum) = (to.add(i * step + j), *edge_at.add(i * wide + j));
                                    *to = if is_first { sum } else { *to + sum };
                                }
                            }
                        }
                    }
                }
            }
            finish(col, cols);
        }
    });
}

/// What to fetch while the block of `b` at row `from` and column `col` is in use: the next one, a
/// line's width of columns per call.
fn ahead<'a>(b: &'a View, from: usize, col: usize, k: usize, n: usize) -> impl FnMut() -> Ahead + 'a {
    const LINE: usize = 16;
    let (row, col) = if from + K_CHUNK < k { (from + K_CHUNK, col) } else { (0, col + COLS) };
    let mut next = if b.col == 1 { col } else { n };
    let end = n.min(col + COLS);
    move || {
        if next >= end {
            return Ahead { at: b.data.as_ptr(), step: 0 };
        }
        next += LINE;
        Ahead { at: b.pointer(row, next - LINE), step: b.row }
    }
}

/// The product as the transpose of `b' a'`.
///
/// # Safety
/// As `multiply`; columns of `b` are contiguous.
unsafe fn turned(
    table: &Table,
    a: &View,
    b: &View,
    m: usize,
    n: usize,
    k: usize,
    out: *mut f32,
    step: usize,
    finish: &dyn Fn(usize, usize),
) {
    let (a, b) = (a.turned(), b.turned());
    let left = Left::of(&b);
    let largest = if table.max_rows(4) > 0 { 4 } else { 2 };
    let padded = widths(table, m, largest).sum::<usize>() * table.lanes;
    with_scratch(padded * (k + TURNED), |panels_at| {
        let sums_at = panels_at.wrapping_add(padded * k);
        // SAFETY: as in `straight`.
        unsafe {
            for from in (0..k).step_by(K_CHUNK) {
                let depth = K_CHUNK.min(k - from);
                let mut col = 0;
                for registers in widths(table, m, largest) {
                    let width = registers * table.lanes;
                    let to = panels_at.wrapping_add(from * padded + col * depth);
                    pack::panels(&a, from, depth, col, width.min(m - col), width, to);
                    col += width;
                }
            }
            for row in (0..n).step_by(TURNED) {
                let rows = TURNED.min(n - row);
                for from in (0..k).step_by(K_CHUNK) {
                    let depth = K_CHUNK.min(k - from);
                    let mut col = 0;
                    for registers in widths(table, m, largest) {
                        let width = registers * table.lanes;
                        let at = panels_at.wrapping_add(from * padded + col * depth).cast_const();
                        let panel = Panel { at, step: width as isize, registers, depth };
                        let sums = Sums { at: sums_at.wrapping_add(col), step: padded, first: from == 0 };
                        let none = || Ahead { at, step: 0 };
                        rows_by_panel(table, left, |i| b.pointer(row + i, from), rows, panel, sums, none);
                        col += width;
                    }
                }
                pack::transpose(sums_at, padded as isize, 1, rows, m, out.add(row), step);
                finish(row, rows);
            }
        }
    });
}
