//! A vector register as a type, so that one hand-written inner loop serves every instruction set.
//!
//! [`dispatch!`] picks the widest the processor has. Where there is no fused multiply-add
//! instruction, `mul_add` is an exact function call: slow and right.

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
}

/// `dispatch!(unsafe fn name<generic>(args) via body)` defines `name`, which calls the generic
/// `body::<V>(args)` with the widest [`Lanes`] of this processor. `body` and all it calls with
/// vectors must be `#[inline(always)]`.
macro_rules! dispatch {
    ($(#[$meta:meta])* unsafe fn $name:ident ($($arg:ident : $ty:ty),* $(,)?) via $wide:expr, $half:expr, $four:expr) => {
        $(#[$meta])*
        unsafe fn $name($($arg: $ty),*) {
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
