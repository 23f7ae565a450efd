//! The innermost loop: a block of the output held in registers over one chunk of k.

use crate::cpu::lanes::{Four, Lanes};
use crate::cpu::simd::{Level, level};

/// Adds the products of one chunk to a block of `R` rows and `T` registers.
///
/// `k` is the chunk's length. `a` points to the block's first element of the left matrix, `a_step`
/// is the distance of its rows if elements of a row are neighbours (`by_row`), else the distance of
/// its columns, elements of a column being neighbours. `b` points to rows of `T` registers, `b_step`
/// apart. The output block's rows are `c_step` apart; if `first`, its old content is not read.
///
/// # Safety
/// All of that memory exists, and the processor has the instructions of the table it came from.
pub type Micro = unsafe fn(usize, *const f32, isize, *const f32, isize, *mut f32, usize, bool, Ahead);

/// What to bring into the second-level cache meanwhile: one line per step of k.
#[derive(Clone, Copy)]
pub struct Ahead {
    pub at: *const f32,
    pub step: isize,
}

/// The inner loops for one instruction set.
pub struct Table {
    /// Values per register.
    pub lanes: usize,
    /// By `by_row`, then registers per row of a block (1, 2, 4), then rows - 1.
    loops: [[&'static [Micro]; 3]; 2],
}

impl Table {
    /// The most rows of a block that is `registers` (1, 2 or 4) wide; 0 if there is no such block.
    pub fn max_rows(&self, registers: usize) -> usize {
        self.loops[0][registers.ilog2() as usize].len()
    }

    /// The loop for a block; at most [`Table::max_rows`] rows.
    pub fn get(&self, by_row: bool, registers: usize, rows: usize) -> Micro {
        self.loops[usize::from(by_row)][registers.ilog2() as usize][rows - 1]
    }
}

/// The loops for this processor.
pub fn table() -> &'static Table {
    match level() {
        #[cfg(target_arch = "x86_64")]
        Level::V4 => &V4,
        #[cfg(target_arch = "x86_64")]
        Level::V3 => &V3,
        _ => &BASE,
    }
}

macro_rules! rows {
    ($f:ident, $t:literal, $by_row:literal; $($r:literal)*) => { &[$($f::<$r, $t, $by_row>),*] };
}

/// With 32 registers: blocks of 14 x 2 and 6 x 4.
#[cfg(target_arch = "x86_64")]
static V4: Table = Table {
    lanes: 16,
    loops: [
        [
            rows!(v4, 1, false; 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
            rows!(v4, 2, false; 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
            rows!(v4, 4, false; 1 2 3 4 5 6),
        ],
        [
            rows!(v4, 1, true; 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
            rows!(v4, 2, true; 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
            rows!(v4, 4, true; 1 2 3 4 5 6),
        ],
    ],
};

/// With 16 registers: blocks of 6 x 2.
#[cfg(target_arch = "x86_64")]
static V3: Table = Table {
    lanes: 8,
    loops: [
        [rows!(v3, 1, false; 1 2 3 4 5 6), rows!(v3, 2, false; 1 2 3 4 5 6), &[]],
        [rows!(v3, 1, true; 1 2 3 4 5 6), rows!(v3, 2, true; 1 2 3 4 5 6), &[]],
    ],
};

static BASE: Table = Table {
    lanes: 4,
    loops: [
        [rows!(base, 1, false; 1 2 3 4 5 6), rows!(base, 2, false; 1 2 3 4 5 6), &[]],
        [rows!(base, 1, true; 1 2 3 4 5 6), rows!(base, 2, true; 1 2 3 4 5 6), &[]],
    ],
};

macro_rules! compiled {
    ($(#[$meta:meta])* $name:ident, $lanes:ty) => {
        $(#[$meta])*
        unsafe fn $name<const R: usize, const T: usize, const BY_ROW: bool>(
            k: usize,
            a: *const f32,
            a_step: isize,
            b: *const f32,
            b_step: isize,
            c: *mut f32,
            c_step: usize,
            first: bool,
            ahead: Ahead,
        ) {
            // SAFETY: passed on to the caller.
            unsafe { block::<$lanes, R, T, BY_ROW>(k, a, a_step, b, b_step, c, c_step, first, ahead) }
        }
    };
}

compiled! { #[cfg(target_arch = "x86_64")] #[target_feature(enable = "avx512f,avx2,fma")] v4, std::arch::x86_64::__m512 }
compiled! { #[cfg(target_arch = "x86_64")] #[target_feature(enable = "avx2,fma")] v3, std::arch::x86_64::__m256 }
compiled! { base, Four }

/// See [`Micro`].
#[inline(always)]
unsafe fn block<V: Lanes, const R: usize, const T: usize, const BY_ROW: bool>(
    k: usize,
    a: *const f32,
    a_step: isize,
    b: *const f32,
    b_step: isize,
    c: *mut f32,
    c_step: usize,
    first: bool,
    ahead: Ahead,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut chains = [[V::splat(0.0); T]; R];
        let (mut a, mut b, mut ahead_at) = (a, b, ahead.at);
        for _ in 0..k {
            let row: [V; T] = std::array::from_fn(|t| V::load(b.add(t * V::LEN)));
            for (r, chain) in chains.iter_mut().enumerate() {
                let x = V::splat(*a.offset(if BY_ROW { r as isize * a_step } else { r as isize }));
                for (y, &b) in chain.iter_mut().zip(&row) {
                    *y = x.fma(b, *y);
                }
            }
            a = a.wrapping_offset(if BY_ROW { 1 } else { a_step });
            b = b.wrapping_offset(b_step);
            V::prefetch(ahead_at);
            ahead_at = ahead_at.wrapping_offset(ahead.step);
        }
        for (r, chain) in chains.iter().enumerate() {
            for (t, &y) in chain.iter().enumerate() {
                let to = c.add(r * c_step + t * V::LEN);
                let sum = if first { y } else { V::load(to).add(y) };
                sum.store(to);
            }
        }
    }
}
