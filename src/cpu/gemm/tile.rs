//! The loops around the innermost one: which part of which matrix is copied when.
//!
//! Left elements are read one at a time from where they are; rows of the right matrix fill registers
//! and are copied into panels first. Of `a b` and `(b' a')'` the form is taken that copies less.

use super::micro::{Table, table};
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

/// Whether to compute the transpose. Costs in cycles, roughly: a step of the inner loop keeps one
/// of two units busy; a copied element costs less if rows stay rows.
fn turned_is_cheaper(table: &Table, a: &View, b: &View, m: usize, n: usize, k: usize) -> bool {
    let readable = |x: &View| x.row == 1 || x.col == 1;
    let padded = m.next_multiple_of(table.lanes);
    if !readable(b) || padded * k > TURNED_WHOLE {
        return false;
    }
    let cost = |rows: usize, cols: usize, left: &View, right: &View| {
        let steps = rows * k * cols.div_ceil(table.lanes) * 8;
        let left = if readable(left) { 0 } else { rows * k * 16 };
        steps + left + cols * k * if right.col == 1 { 1 } else { 4 }
    };
    cost(n, m, &b.turned(), &a.turned()) + m * n * 4 < cost(m, n, a, b)
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

/// Left elements as the inner loop reads them.
#[derive(Clone, Copy)]
struct Left {
    by_row: bool,
    step: isize,
}

impl Left {
    fn of(a: &View) -> Option<Left> {
        match (a.row, a.col) {
            (1, step) => Some(Left { by_row: false, step }),
            (step, 1) => Some(Left { by_row: true, step }),
            _ => None,
        }
    }
}

/// `out (+)= a panel` for `rows` rows: blocks of nearly equal height.
///
/// # Safety
/// As for [`super::micro::Micro`].
unsafe fn rows_by_panel(
    table: &Table,
    left: Left,
    a: impl Fn(usize) -> *const f32,
    rows: usize,
    registers: usize,
    k: usize,
    panel: *const f32,
    panel_step: isize,
    out: *mut f32,
    step: usize,
    first: bool,
) {
    let blocks = rows.div_ceil(table.max_rows(registers));
    let mut row = 0;
    for block in 0..blocks {
        let height = (rows - row).div_ceil(blocks - block);
        let micro = table.get(left.by_row, registers, height);
        // SAFETY: the caller's.
        unsafe { micro(k, a(row), left.step, panel, panel_step, out.add(row * step), step, first) };
        row += height;
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
    let panels = K_CHUNK * (COLS + 4 * table.lanes);
    let edge = ROWS * 2 * table.lanes;
    let copied = if Left::of(a).is_none() { ROWS * K_CHUNK } else { 0 };
    with_scratch(panels + edge + copied, |panels_at| {
        let edge_at = panels_at.wrapping_add(panels);
        let copy_at = edge_at.wrapping_add(edge);
        for col in (0..n).step_by(COLS) {
            let cols = COLS.min(n - col);
            for from in (0..k).step_by(K_CHUNK) {
                let depth = K_CHUNK.min(k - from);
                let wide = 2 * table.lanes;
                // SAFETY: columns col.. and rows from.. exist; the scratch has room for the panels,
                // for a panel's width of sums and for the left rows.
                unsafe {
                    pack::panels(b, from, depth, col, cols, wide, panels_at);
                    for row in (0..m).step_by(ROWS) {
                        let rows = ROWS.min(m - row);
                        let (left, a) = match Left::of(a) {
                            Some(left) => (left, a.from(row, from)),
                            None => {
                                let whole = a.from(row, from);
                                pack::transpose(whole.pointer(0, 0), whole.row, whole.col, rows, depth, copy_at, rows);
                                let data = std::slice::from_raw_parts(copy_at, rows * depth);
                                let step = rows as isize;
                                (Left { by_row: false, step }, View { data, start: 0, row: 1, col: step })
                            }
                        };
                        for first in (0..cols).step_by(wide) {
                            let panel = panels_at.wrapping_add(first * depth);
                            let left_cols = cols - first;
                            let registers = if left_cols > table.lanes { 2 } else { 1 };
                            let to = out.add(row * step + col + first);
                            let at = |i: usize| a.pointer(i, 0);
                            if left_cols >= registers * table.lanes {
                                rows_by_panel(
                                    table,
                                    left,
                                    at,
                                    rows,
                                    registers,
                                    depth,
                                    panel,
                                    wide as isize,
                                    to,
                                    step,
                                    from == 0,
                                );
                            } else {
                                rows_by_panel(
                                    table,
                                    left,
                                    at,
                                    rows,
                                    registers,
                                    depth,
                                    panel,
                                    wide as isize,
                                    edge_at,
                                    wide,
                                    true,
                                );
                                for i in 0..rows {
                                    for j in 0..left_cols {
                                        let (to, sum) = (to.add(i * step + j), *edge_at.add(i * wide + j));
                                        *to = if from == 0 { sum } else { *to + sum };
                                    }
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

/// The product as the transpose of `b' a'`.
///
/// # Safety
/// As `multiply`; rows or columns of `b` are contiguous.
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
    let left = Left::of(&b).expect("checked by the caller");
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
                        let panel = panels_at.wrapping_add(from * padded + col * depth);
                        let at = |i: usize| b.pointer(row + i, from);
                        let to = sums_at.wrapping_add(col);
                        rows_by_panel(
                            table,
                            left,
                            at,
                            rows,
                            registers,
                            depth,
                            panel,
                            width as isize,
                            to,
                            padded,
                            from == 0,
                        );
                        col += width;
                    }
                }
                pack::transpose(sums_at, padded as isize, 1, rows, m, out.add(row), step);
                finish(row, rows);
            }
        }
    });
}
