//! A vector register as a type, so that one hand-written inner loop serves every instruction set.
//!
//! [`dispatch!`] picks the widest the processor has. Where there is no fused multiply-add
//! instruction, `mul_add` is an exact function call: slow and right.

use crate::math;
use std::cell::Cell;

/// A register of f32. Methods are `unsafe` because of their pointers and because the processor must
/// have the instructions.
pub trait Lanes: Copy {
    const LEN: usize;
    /// # Safety
    /// The processor has the instructions.
    unsafe fn splat(x: f32) -> Self;
    /// # Safety
    /// As [`Lanes::splat`]; `p` points to `LEN` values.
    unsafe fn load(p: *const f32) -> Self;
    /// # Safety
    /// As [`Lanes::splat`]; `p` points to `LEN` values.
    unsafe fn store(self, p: *mut f32);
    /// `self * x + y`, one rounding.
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn fma(self, x: Self, y: Self) -> Self;
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn add(self, x: Self) -> Self;
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn mul(self, x: Self) -> Self;
    /// `self > x`, a bit per lane, where `mask` has one.
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn greater(self, x: Self, mask: u16) -> u16;
    /// `math::exp` of every lane.
    /// # Safety
    /// As [`Lanes::splat`].
    unsafe fn exp(self) -> Self;
    /// [`Lanes::exp`] of several registers. Where one instruction waits for the one before, those of the
    /// others are at work. If `BELOW`, nothing is above 0, though it may be NaN.
    /// # Safety
    /// As [`Lanes::splat`].
    #[inline(always)]
    unsafe fn exps<const N: usize, const BELOW: bool>(mut x: [Self; N]) -> [Self; N] {
        for x in &mut x {
            // SAFETY: the caller's.
            *x = unsafe { x.exp() };
        }
        x
    }
    /// Asks for the cache line of an address, which need not exist.
    #[inline(always)]
    fn prefetch(_p: *const f32) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint; every x86-64 processor has it, and no address faults.
        unsafe {
            use std::arch::x86_64::*;
            _mm_prefetch(_p.cast(), _MM_HINT_T1);
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;
    use crate::math::{self, ROUND, exp};
    use std::arch::x86_64::*;

    impl Lanes for __m512 {
        const LEN: usize = 16;
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: the caller vouches for the processor.
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            // SAFETY: the caller vouches for the processor and the pointer.
            unsafe { _mm512_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            // SAFETY: the caller vouches for the processor and the pointer.
            unsafe { _mm512_storeu_ps(p, self) }
        }
        #[inline(always)]
        unsafe fn fma(self, x: Self, y: Self) -> Self {
            // SAFETY: the caller vouches for the processor.
            unsafe { _mm512_fmadd_ps(self, x, y) }
        }
        #[inline(always)]
        unsafe fn add(self, x: Self) -> Self {
            // SAFETY: the caller vouches for the processor.
            unsafe { _mm512_add_ps(self, x) }
        }
        #[inline(always)]
        unsafe fn mul(self, x: Self) -> Self {
            // SAFETY: the caller vouches for the processor.
            unsafe { _mm512_mul_ps(self, x) }
        }
        #[inline(always)]
        unsafe fn greater(self, x: Self, mask: u16) -> u16 {
            // SAFETY: the caller vouches for the processor.
            unsafe { _mm512_mask_cmp_ps_mask::<_CMP_GT_OQ>(mask, self, x) }
        }
        #[inline(always)]
        unsafe fn exp(self) -> Self {
            // SAFETY: the caller's.
            unsafe { Self::exps::<1, false>([self])[0] }
        }
        #[inline(always)]
        unsafe fn exps<const N: usize, const BELOW: bool>(mut x: [Self; N]) -> [Self; N] {
            // The sequence of `math::exp`; scaling rounds once at the most there too.
            // SAFETY: the caller vouches for the processor.
            unsafe {
                let splat = |x: f32| _mm512_set1_ps(x);
                let [first, rest @ ..] = exp::SECOND_ORDER;
                let mut n = [splat(0.0); N];
                let mut p = [splat(first); N];
                for i in 0..N {
                    // Where one is NaN, min and max return their second argument.
                    let x_i = if BELOW { x[i] } else { _mm512_min_ps(splat(89.0), x[i]) };
                    x[i] = _mm512_max_ps(splat(-105.0), x_i);
                }
                for i in 0..N {
                    n[i] = _mm512_fmadd_ps(x[i], splat(exp::LOG2_E), splat(ROUND));
                }
                for i in 0..N {
                    n[i] = _mm512_sub_ps(n[i], splat(ROUND));
                }
                for i in 0..N {
                    x[i] = _mm512_fmadd_ps(n[i], splat(-exp::LN2_HI), x[i]);
                }
                for i in 0..N {
                    x[i] = _mm512_fmadd_ps(n[i], splat(-exp::LN2_LO), x[i]);
                }
                for c in rest {
                    for i in 0..N {
                        p[i] = _mm512_fmadd_ps(p[i], x[i], splat(c));
                    }
                }
                for i in 0..N {
                    p[i] = _mm512_fmadd_ps(_mm512_mul_ps(x[i], x[i]), p[i], x[i]);
                }
                for i in 0..N {
                    x[i] = _mm512_scalef_ps(_mm512_add_ps(splat(1.0), p[i]), n[i]);
                }
                x
            }
        }
    }

    impl Lanes for __m256 {
        const LEN: usize = 8;
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            // SAFETY: the caller vouches for the processor.
            unsafe { _mm256_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            // SAFETY: the caller vouches for the processor and the pointer.
            unsafe { _mm256_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            // SAFETY: the caller vouches for the processor and the pointer.
            unsafe { _mm256_storeu_ps(p, self) }
        }
        #[inline(always)]
        unsafe fn fma(self, x: Self, y: Self) -> Self {
            // SAFETY: the caller vouches for the processor.
            unsafe { _mm256_fmadd_ps(self, x, y) }
        }
        #[inline(always)]
        unsafe fn add(self, x: Self) -> Self {
            // SAFETY: the caller vouches for the processor.
            unsafe { _mm256_add_ps(self, x) }
        }
        #[inline(always)]
        unsafe fn mul(self, x: Self) -> Self {
            // SAFETY: the caller vouches for the processor.
            unsafe { _mm256_mul_ps(self, x) }
        }
        #[inline(always)]
        unsafe fn greater(self, x: Self, mask: u16) -> u16 {
            // SAFETY: the caller vouches for the processor.
            unsafe { mask & _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(self, x)) as u16 }
        }
        #[inline(always)]
        unsafe fn exp(self) -> Self {
            let mut lanes = [0.0f32; Self::LEN];
            // SAFETY: the caller vouches for the processor; the array is as long as a register.
            unsafe {
                self.store(lanes.as_mut_ptr());
                Self::load(lanes.map(math::exp).as_ptr())
            }
        }
    }
}

/// Four values that the compiler keeps in whatever the target has (one register on aarch64).
#[derive(Clone, Copy)]
pub struct Four([f32; 4]);

impl Lanes for Four {
    const LEN: usize = 4;
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Four([x; 4])
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller vouches for the pointer.
        Four(unsafe { p.cast::<[f32; 4]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller vouches for the pointer.
        unsafe { p.cast::<[f32; 4]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn fma(self, x: Self, y: Self) -> Self {
        Four(std::array::from_fn(|i| self.0[i].mul_add(x.0[i], y.0[i])))
    }
    #[inline(always)]
    unsafe fn add(self, x: Self) -> Self {
        Four(std::array::from_fn(|i| self.0[i] + x.0[i]))
    }
    #[inline(always)]
    unsafe fn mul(self, x: Self) -> Self {
        Four(std::array::from_fn(|i| self.0[i] * x.0[i]))
    }
    #[inline(always)]
    unsafe fn greater(self, x: Self, mask: u16) -> u16 {
        (0..4).fold(0, |bits, l| bits | u16::from(self.0[l] > x.0[l]) << l) & mask
    }
    #[inline(always)]
    unsafe fn exp(self) -> Self {
        Four(self.0.map(math::exp))
    }
}

/// `dispatch!(unsafe fn name<generic>(args) via body)` defines `name`, which calls the generic
/// `body::<V>(args)` with the widest [`Lanes`] of this processor. `body` and all it calls with
/// vectors must be `#[inline(always)]`.
macro_rules! dispatch {
    ($(#[$meta:meta])* $vis:vis unsafe fn $name:ident ($($arg:ident : $ty:ty),* $(,)?) via $wide:expr, $half:expr, $four:expr) => {
        $(#[$meta])*
        $vis unsafe fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                use $crate::cpu::simd::{Level, level};
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                unsafe fn v4($($arg: $ty),*) {
                    // SAFETY: passed on to the caller.
                    unsafe { $wide($($arg),*) }
                }
                #[target_feature(enable = "avx2,fma")]
                unsafe fn v3($($arg: $ty),*) {
                    // SAFETY: passed on to the caller.
                    unsafe { $half($($arg),*) }
                }
                match level() {
                    // SAFETY: the processor has these features, `level` has just said so; the rest
                    // is the caller's.
                    Level::V4 => return unsafe { v4($($arg),*) },
                    // SAFETY: as above.
                    Level::V3 => return unsafe { v3($($arg),*) },
                    Level::Base => {}
                }
            }
            // SAFETY: the caller's.
            unsafe { $four($($arg),*) }
        }
    };
}
pub(super) use dispatch;

/// Scratch memory that starts at a cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub struct Line([f32; 16]);

thread_local! {
    static SCRATCH: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// Calls `f` with scratch memory for `n` values: initialised, of arbitrary content. Each thread keeps
/// its largest.
pub fn with_scratch<R>(n: usize, f: impl FnOnce(*mut f32) -> R) -> R {
    let mut lines = SCRATCH.take();
    let needed = n.div_ceil(16);
    if lines.len() < needed {
        lines.resize(needed, Line([0.0; 16]));
    }
    let result = f(lines.as_mut_ptr().cast());
    SCRATCH.set(lines);
    result
}
