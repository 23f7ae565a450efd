//! Copies parts of matrices into the order in which the inner loop reads them.

use super::View;
use crate::cpu::simd::{Level, level};
use crate::simd_fn;

/// Copies rows `row..row + rows` and columns `col..col + cols` of `b` to rows of `width` at `to`, for
/// each `width` columns one such panel after the other. Columns past `cols` in the last panel are
/// left as they are.
///
/// # Safety
/// They exist, and `to` has room for all panels.
pub unsafe fn panels(b: &View, row: usize, rows: usize, col: usize, cols: usize, width: usize, to: *mut f32) {
    let from = b.pointer(row, col);
    // SAFETY: the caller's.
    unsafe {
        debug_assert!([4, 8, 16, 32, 64].contains(&width));
        if b.col == 1 {
            match width {
                32 => copy_rows::<32>(from, b.row, rows, cols, to),
                64 => copy_rows::<64>(from, b.row, rows, cols, to),
                16 => copy_rows::<16>(from, b.row, rows, cols, to),
                8 => copy_rows::<8>(from, b.row, rows, cols, to),
                _ => copy_rows::<4>(from, b.row, rows, cols, to),
            }
            return;
        }
        for first in (0..cols).step_by(width) {
            let to = to.add(first * rows);
            transpose(
                from.wrapping_offset(first as isize * b.col),
                b.col,
                b.row,
                width.min(cols - first),
                rows,
                to,
                width,
            );
        }
    }
}

unsafe fn copy_rows<const WIDTH: usize>(from: *const f32, step: isize, rows: usize, cols: usize, to: *mut f32) {
    copy::<Wide<WIDTH>>(Wide, from, step, rows, cols, to);
}

/// A panel's width as a type.
struct Wide<const WIDTH: usize>;

trait Width {
    const WIDTH: usize;
}

impl<const W: usize> Width for Wide<W> {
    const WIDTH: usize = W;
}

simd_fn! {
    fn copy<W: Width>(_width: W, from: *const f32, step: isize, rows: usize, cols: usize, to: *mut f32) {
        let width = W::WIDTH;
        for i in 0..rows {
            let (mut from, mut to) = (from.wrapping_offset(i as isize * step), to.wrapping_add(i * width));
            let mut left = cols;
            // SAFETY: only called by `panels`, whose caller vouches for the matrix and the room.
            unsafe {
                while left >= width {
                    std::ptr::copy_nonoverlapping(from, to, width);
                    from = from.wrapping_add(width);
                    to = to.wrapping_add(rows * width);
                    left -= width;
                }
                for j in 0..left {
                    *to.add(j) = *from.add(j);
                }
            }
        }
    }
}

/// `to[j * to_step + i] = from[i * step + j * inner]` for i below `rows`, j below `cols`.
///
/// # Safety
/// The elements exist; the two do not overlap.
pub unsafe fn transpose(
    from: *const f32,
    step: isize,
    inner: isize,
    rows: usize,
    cols: usize,
    to: *mut f32,
    to_step: usize,
) {
    // SAFETY: the caller's; the processor has AVX at this level.
    unsafe {
        let scalar = |is: std::ops::Range<usize>, js: std::ops::Range<usize>| {
            for j in js {
                for i in is.clone() {
                    *to.add(j * to_step + i) = *from.offset(i as isize * step + j as isize * inner);
                }
            }
        };
        #[cfg(target_arch = "x86_64")]
        if inner == 1 && level() >= Level::V3 {
            let (whole_rows, whole_cols) = (rows / 8 * 8, cols / 8 * 8);
            transpose_blocks(from, step, whole_rows, whole_cols, to, to_step);
            scalar(whole_rows..rows, 0..whole_cols);
            scalar(0..rows, whole_cols..cols);
            return;
        }
        scalar(0..rows, 0..cols);
    }
}

/// [`transpose`] of whole blocks of 8 x 8.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
unsafe fn transpose_blocks(from: *const f32, step: isize, rows: usize, cols: usize, to: *mut f32, to_step: usize) {
    use std::arch::x86_64::*;
    for i in (0..rows).step_by(8) {
        for j in (0..cols).step_by(8) {
            // SAFETY: the caller's.
            unsafe {
                let quad = |r: usize, c: usize| _mm_loadu_ps(from.offset((i + r) as isize * step).add(j + c));
                let pair =
                    |r: usize, c: usize| _mm256_insertf128_ps(_mm256_castps128_ps256(quad(r, c)), quad(r + 4, c), 1);
                for c in [0, 4] {
                    let (r0, r1, r2, r3) = (pair(0, c), pair(1, c), pair(2, c), pair(3, c));
                    let (a, b) = (_mm256_unpacklo_ps(r0, r1), _mm256_unpackhi_ps(r0, r1));
                    let (x, y) = (_mm256_unpacklo_ps(r2, r3), _mm256_unpackhi_ps(r2, r3));
                    let store = |k: usize, v| _mm256_storeu_ps(to.add((j + c + k) * to_step + i), v);
                    store(0, _mm256_shuffle_ps(a, x, 0x44));
                    store(1, _mm256_shuffle_ps(a, x, 0xee));
                    store(2, _mm256_shuffle_ps(b, y, 0x44));
                    store(3, _mm256_shuffle_ps(b, y, 0xee));
                }
            }
        }
    }
}
