//! Sixteen f32 lanes as a type, for loops that the compiler does not vectorise by itself: short
//! rows with padded ends, halving, searches.
//!
//! [`wide_fn!`](crate::wide_fn) compiles a function for every instruction set and calls the best.
//! The lanes' operations are single IEEE operations, so the choice changes no bit.

/// Lanes of a [`Wide`].
pub const WIDTH: usize = 16;

/// Sixteen f32. Methods are `unsafe` because the processor must have the instructions (inside
/// `wide_fn!` it has) and, where they take one, because of the pointer.
///
/// # Safety
/// `load` reads and `store` writes 16 values at the pointer, `load_first` and `store_first` the
/// first `count` of them, at most 16; `compress` writes 16.
#[allow(clippy::missing_safety_doc)]
pub trait Wide: Copy {
    /// `x` in every lane.
    unsafe fn splat(x: f32) -> Self;
    /// From memory.
    unsafe fn load(p: *const f32) -> Self;
    /// `pad` stands after the first `count` values.
    unsafe fn load_first(p: *const f32, count: usize, pad: f32) -> Self;
    /// To memory.
    unsafe fn store(self, p: *mut f32);
    /// The first `count` lanes to memory.
    unsafe fn store_first(self, p: *mut f32, count: usize);
    /// Zero after the first `count` lanes (any number from 0 on).
    unsafe fn keep_first(self, count: usize) -> Self;
    /// `x + y`
    unsafe fn add(self, y: Self) -> Self;
    /// `x - y`
    unsafe fn sub(self, y: Self) -> Self;
    /// `x y`
    unsafe fn mul(self, y: Self) -> Self;
    /// `x / y`
    unsafe fn div(self, y: Self) -> Self;
    /// `y > self or y is NaN ? y : self`
    unsafe fn max(self, y: Self) -> Self;
    /// `y < self or y is NaN ? y : self`
    unsafe fn min(self, y: Self) -> Self;
    /// Zero where `t` is 0 or -0.
    unsafe fn zero_where_zero(self, t: Self) -> Self;
    /// Brings lane `l + S` to lane `l` for `l < S`; the others are undefined. S = 8, 4, 2, 1.
    unsafe fn down<const S: usize>(self) -> Self;
    /// Lane 0.
    unsafe fn first(self) -> f32;
    /// A bit for each lane that equals `y`'s.
    unsafe fn equal(self, y: Self) -> u32;
    /// A bit for each lane that is NaN.
    unsafe fn nan(self) -> u32;
    /// Stores the lanes whose bit is set side by side; writes 16 values, those after them are
    /// arbitrary.
    #[inline(always)]
    unsafe fn compress(self, bits: u32, p: *mut f32) {
        let mut lanes = [0.0f32; WIDTH];
        // SAFETY: the array has 16 values.
        unsafe { self.store(lanes.as_mut_ptr()) };
        let mut rest = bits & 0xffff;
        let mut to = 0;
        while rest != 0 {
            // SAFETY: at most 16 values, which the caller has room for.
            unsafe { p.add(to).write(lanes[rest.trailing_zeros() as usize]) };
            rest &= rest - 1;
            to += 1;
        }
    }
}

/// Without vector instructions of its own: whatever the compiler makes of it.
#[derive(Clone, Copy)]
pub struct Portable([f32; WIDTH]);

impl Portable {
    #[inline(always)]
    fn zip(self, y: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Portable(std::array::from_fn(|i| f(self.0[i], y.0[i])))
    }
}

impl Wide for Portable {
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Portable([x; WIDTH])
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller vouches for the pointer.
        Portable(unsafe { p.cast::<[f32; WIDTH]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, count: usize, pad: f32) -> Self {
        // SAFETY: the caller vouches for the pointer.
        let x = unsafe { std::slice::from_raw_parts(p, count) };
        Portable(std::array::from_fn(|i| x.get(i).copied().unwrap_or(pad)))
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller vouches for the pointer.
        unsafe { p.cast::<[f32; WIDTH]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, count: usize) {
        // SAFETY: the caller vouches for the pointer.
        unsafe { std::slice::from_raw_parts_mut(p, count) }.copy_from_slice(&self.0[..count]);
    }
    #[inline(always)]
    unsafe fn keep_first(self, count: usize) -> Self {
        Portable(std::array::from_fn(|i| if i < count { self.0[i] } else { 0.0 }))
    }
    #[inline(always)]
    unsafe fn add(self, y: Self) -> Self {
        self.zip(y, |x, y| x + y)
    }
    #[inline(always)]
    unsafe fn sub(self, y: Self) -> Self {
        self.zip(y, |x, y| x - y)
    }
    #[inline(always)]
    unsafe fn mul(self, y: Self) -> Self {
        self.zip(y, |x, y| x * y)
    }
    #[inline(always)]
    unsafe fn div(self, y: Self) -> Self {
        self.zip(y, |x, y| x / y)
    }
    #[inline(always)]
    unsafe fn max(self, y: Self) -> Self {
        self.zip(y, |x, y| if y > x || y.is_nan() { y } else { x })
    }
    #[inline(always)]
    unsafe fn min(self, y: Self) -> Self {
        self.zip(y, |x, y| if y < x || y.is_nan() { y } else { x })
    }
    #[inline(always)]
    unsafe fn zero_where_zero(self, t: Self) -> Self {
        self.zip(t, |x, t| if t == 0.0 { 0.0 } else { x })
    }
    #[inline(always)]
    unsafe fn down<const S: usize>(self) -> Self {
        Portable(std::array::from_fn(|i| self.0[(i + S) % WIDTH]))
    }
    #[inline(always)]
    unsafe fn first(self) -> f32 {
        self.0[0]
    }
    #[inline(always)]
    unsafe fn equal(self, y: Self) -> u32 {
        (0..WIDTH).fold(0, |bits, i| bits | u32::from(self.0[i] == y.0[i]) << i)
    }
    #[inline(always)]
    unsafe fn nan(self) -> u32 {
        (0..WIDTH).fold(0, |bits, i| bits | u32::from(self.0[i].is_nan()) << i)
    }
}

#[cfg(target_arch = "x86_64")]
pub use x86::Half;

#[cfg(target_arch = "x86_64")]
mod x86 {
    // SAFETY (every block below): the caller vouches for the processor's instructions and for the
    // pointers, as the trait demands.
    #![allow(clippy::undocumented_unsafe_blocks)]
    use super::Wide;
    use std::arch::x86_64::*;

    #[inline(always)]
    fn mask16(count: usize) -> __mmask16 {
        ((1u32 << count.min(16)) - 1) as __mmask16
    }

    impl Wide for __m512 {
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            unsafe { _mm512_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn load_first(p: *const f32, count: usize, pad: f32) -> Self {
            unsafe { _mm512_mask_loadu_ps(_mm512_set1_ps(pad), mask16(count), p) }
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            unsafe { _mm512_storeu_ps(p, self) }
        }
        #[inline(always)]
        unsafe fn store_first(self, p: *mut f32, count: usize) {
            unsafe { _mm512_mask_storeu_ps(p, mask16(count), self) }
        }
        #[inline(always)]
        unsafe fn keep_first(self, count: usize) -> Self {
            unsafe { _mm512_maskz_mov_ps(mask16(count), self) }
        }
        #[inline(always)]
        unsafe fn add(self, y: Self) -> Self {
            unsafe { _mm512_add_ps(self, y) }
        }
        #[inline(always)]
        unsafe fn sub(self, y: Self) -> Self {
            unsafe { _mm512_sub_ps(self, y) }
        }
        #[inline(always)]
        unsafe fn mul(self, y: Self) -> Self {
            unsafe { _mm512_mul_ps(self, y) }
        }
        #[inline(always)]
        unsafe fn div(self, y: Self) -> Self {
            unsafe { _mm512_div_ps(self, y) }
        }
        #[inline(always)]
        unsafe fn max(self, y: Self) -> Self {
            // The instruction gives its second operand unless the first is greater.
            unsafe { _mm512_mask_mov_ps(_mm512_max_ps(y, self), _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(y, y), y) }
        }
        #[inline(always)]
        unsafe fn min(self, y: Self) -> Self {
            unsafe { _mm512_mask_mov_ps(_mm512_min_ps(y, self), _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(y, y), y) }
        }
        #[inline(always)]
        unsafe fn zero_where_zero(self, t: Self) -> Self {
            unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(t, _mm512_setzero_ps()), self) }
        }
        #[inline(always)]
        unsafe fn down<const S: usize>(self) -> Self {
            unsafe {
                match S {
                    8 => _mm512_shuffle_f32x4::<0b_00_00_11_10>(self, self),
                    4 => _mm512_shuffle_f32x4::<0b_00_00_00_01>(self, self),
                    2 => _mm512_permute_ps::<0b_00_00_11_10>(self),
                    _ => _mm512_permute_ps::<0b_00_00_00_01>(self),
                }
            }
        }
        #[inline(always)]
        unsafe fn first(self) -> f32 {
            unsafe { _mm512_cvtss_f32(self) }
        }
        #[inline(always)]
        unsafe fn equal(self, y: Self) -> u32 {
            unsafe { u32::from(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self, y)) }
        }
        #[inline(always)]
        unsafe fn nan(self) -> u32 {
            unsafe { u32::from(_mm512_cmp_ps_mask::<_CMP_UNORD_Q>(self, self)) }
        }
        #[inline(always)]
        unsafe fn compress(self, bits: u32, p: *mut f32) {
            unsafe { _mm512_storeu_ps(p, _mm512_maskz_compress_ps(bits as u16, self)) }
        }
    }

    /// Two AVX registers.
    #[derive(Clone, Copy)]
    pub struct Half(__m256, __m256);

    /// All bits set in the first `count` lanes.
    #[inline(always)]
    unsafe fn mask8(count: usize) -> __m256i {
        unsafe {
            let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            _mm256_cmpgt_epi32(_mm256_set1_epi32(count.min(8) as i32), lanes)
        }
    }

    #[inline(always)]
    unsafe fn join(extreme: __m256, y: __m256) -> __m256 {
        unsafe { _mm256_blendv_ps(extreme, y, _mm256_cmp_ps::<_CMP_UNORD_Q>(y, y)) }
    }

    #[inline(always)]
    unsafe fn unless_zero(x: __m256, t: __m256) -> __m256 {
        unsafe { _mm256_and_ps(x, _mm256_cmp_ps::<_CMP_NEQ_UQ>(t, _mm256_setzero_ps())) }
    }

    #[inline(always)]
    unsafe fn bits(low: __m256, high: __m256) -> u32 {
        unsafe { _mm256_movemask_ps(low) as u32 | (_mm256_movemask_ps(high) as u32) << 8 }
    }

    impl Wide for Half {
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            unsafe { Half(_mm256_set1_ps(x), _mm256_set1_ps(x)) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self {
            unsafe { Half(_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))) }
        }
        #[inline(always)]
        unsafe fn load_first(p: *const f32, count: usize, pad: f32) -> Self {
            unsafe {
                let (low, high) = (mask8(count), mask8(count.saturating_sub(8)));
                let pad = _mm256_set1_ps(pad);
                Half(
                    _mm256_blendv_ps(pad, _mm256_maskload_ps(p, low), _mm256_castsi256_ps(low)),
                    _mm256_blendv_ps(pad, _mm256_maskload_ps(p.wrapping_add(8), high), _mm256_castsi256_ps(high)),
                )
            }
        }
        #[inline(always)]
        unsafe fn store(self, p: *mut f32) {
            unsafe {
                _mm256_storeu_ps(p, self.0);
                _mm256_storeu_ps(p.add(8), self.1);
            }
        }
        #[inline(always)]
        unsafe fn store_first(self, p: *mut f32, count: usize) {
            unsafe {
                _mm256_maskstore_ps(p, mask8(count), self.0);
                _mm256_maskstore_ps(p.wrapping_add(8), mask8(count.saturating_sub(8)), self.1);
            }
        }
        #[inline(always)]
        unsafe fn keep_first(self, count: usize) -> Self {
            unsafe {
                let (low, high) = (mask8(count), mask8(count.saturating_sub(8)));
                Half(_mm256_and_ps(self.0, _mm256_castsi256_ps(low)), _mm256_and_ps(self.1, _mm256_castsi256_ps(high)))
            }
        }
        #[inline(always)]
        unsafe fn add(self, y: Self) -> Self {
            unsafe { Half(_mm256_add_ps(self.0, y.0), _mm256_add_ps(self.1, y.1)) }
        }
        #[inline(always)]
        unsafe fn sub(self, y: Self) -> Self {
            unsafe { Half(_mm256_sub_ps(self.0, y.0), _mm256_sub_ps(self.1, y.1)) }
        }
        #[inline(always)]
        unsafe fn mul(self, y: Self) -> Self {
            unsafe { Half(_mm256_mul_ps(self.0, y.0), _mm256_mul_ps(self.1, y.1)) }
        }
        #[inline(always)]
        unsafe fn div(self, y: Self) -> Self {
            unsafe { Half(_mm256_div_ps(self.0, y.0), _mm256_div_ps(self.1, y.1)) }
        }
        #[inline(always)]
        unsafe fn max(self, y: Self) -> Self {
            unsafe { Half(join(_mm256_max_ps(y.0, self.0), y.0), join(_mm256_max_ps(y.1, self.1), y.1)) }
        }
        #[inline(always)]
        unsafe fn min(self, y: Self) -> Self {
            unsafe { Half(join(_mm256_min_ps(y.0, self.0), y.0), join(_mm256_min_ps(y.1, self.1), y.1)) }
        }
        #[inline(always)]
        unsafe fn zero_where_zero(self, t: Self) -> Self {
            unsafe { Half(unless_zero(self.0, t.0), unless_zero(self.1, t.1)) }
        }
        #[inline(always)]
        unsafe fn down<const S: usize>(self) -> Self {
            unsafe {
                match S {
                    8 => Half(self.1, self.1),
                    4 => Half(_mm256_permute2f128_ps::<0x11>(self.0, self.0), self.1),
                    2 => Half(_mm256_permute_ps::<0b_00_00_11_10>(self.0), self.1),
                    _ => Half(_mm256_permute_ps::<0b_00_00_00_01>(self.0), self.1),
                }
            }
        }
        #[inline(always)]
        unsafe fn first(self) -> f32 {
            unsafe { _mm256_cvtss_f32(self.0) }
        }
        #[inline(always)]
        unsafe fn equal(self, y: Self) -> u32 {
            unsafe { bits(_mm256_cmp_ps::<_CMP_EQ_OQ>(self.0, y.0), _mm256_cmp_ps::<_CMP_EQ_OQ>(self.1, y.1)) }
        }
        #[inline(always)]
        unsafe fn nan(self) -> u32 {
            unsafe {
                bits(_mm256_cmp_ps::<_CMP_UNORD_Q>(self.0, self.0), _mm256_cmp_ps::<_CMP_UNORD_Q>(self.1, self.1))
            }
        }
    }
}

/// `count` values (more count as 16) from `x[start]`, padded with `pad`.
///
/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
pub unsafe fn load<V: Wide>(x: &[f32], start: usize, count: usize, pad: f32) -> V {
    if count >= WIDTH {
        // SAFETY: the slice has 16 values.
        unsafe { V::load(x[start..start + WIDTH].as_ptr()) }
    } else {
        // SAFETY: the slice has `count` values.
        unsafe { V::load_first(x[start..start + count].as_ptr(), count, pad) }
    }
}

/// The first `count` values (more count as 16) to `out[start..]`.
///
/// # Safety
/// The processor has the instructions of `V`.
#[inline(always)]
pub unsafe fn store<V: Wide>(out: &mut [f32], start: usize, count: usize, values: V) {
    if count >= WIDTH {
        // SAFETY: the slice has 16 values.
        unsafe { values.store(out[start..start + WIDTH].as_mut_ptr()) }
    } else {
        // SAFETY: the slice has `count` values.
        unsafe { values.store_first(out[start..start + count].as_mut_ptr(), count) }
    }
}

/// `wide_fn! { pub fn name<V, F: Bound>(args) -> R { body } }` defines `name::<F>(args)`, whose body
/// is compiled with the [`Wide`] of every level as `V`; a call runs the best. The body may call
/// `V`'s methods; what it calls with vectors must be `#[inline(always)]`.
#[macro_export]
#[doc(hidden)]
macro_rules! wide_fn {
    ($(#[$meta:meta])* $vis:vis fn $name:ident <$v:ident $(, $g:ident : $bound:path)*> ($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name <$($g: $bound),*> ($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            unsafe fn body<$v: $crate::cpu::wide::Wide $(, $g: $bound)*>($($arg: $ty),*) $(-> $ret)? {
                // SAFETY: called below where the processor has the instructions; pointers are those
                // of slices.
                #[allow(unused_unsafe)]
                unsafe { $body }
            }

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn v4 <$($g: $bound),*> ($($arg: $ty),*) $(-> $ret)? {
                    // SAFETY: the features are enabled here.
                    unsafe { body::<std::arch::x86_64::__m512 $(, $g)*>($($arg),*) }
                }
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn v3 <$($g: $bound),*> ($($arg: $ty),*) $(-> $ret)? {
                    // SAFETY: the features are enabled here.
                    unsafe { body::<$crate::cpu::wide::Half $(, $g)*>($($arg),*) }
                }
                match $crate::cpu::simd::level() {
                    // SAFETY: the processor has these features, `level` has just said so.
                    $crate::cpu::simd::Level::V4 => return unsafe { v4::<$($g),*>($($arg),*) },
                    // SAFETY: as above.
                    $crate::cpu::simd::Level::V3 => return unsafe { v3::<$($g),*>($($arg),*) },
                    $crate::cpu::simd::Level::Base => {}
                }
            }
            // SAFETY: the portable form needs no instructions.
            unsafe { body::<$crate::cpu::wide::Portable $(, $g)*>($($arg),*) }
        }
    };
}
