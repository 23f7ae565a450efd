//! One loop, compiled for several instruction sets, chosen when it runs.
//!
//! The arithmetic is the same in all of them (the contract's fixed operations), so the choice
//! changes the speed and no bit.

/// What the processor offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing beyond the compilation target; fused multiply-add may be a function call.
    Base,
    /// AVX2 and FMA.
    V3,
    /// AVX-512 (F, BW, DQ, VL).
    V4,
}

/// The best level of this processor (detected once). The environment variable `CYTOGRAD_SIMD` with
/// `base` or `v3` allows no more than that, to test what other processors would run.
pub fn level() -> Level {
    #[cfg(target_arch = "x86_64")]
    {
        use std::sync::OnceLock;
        static LEVEL: OnceLock<Level> = OnceLock::new();
        *LEVEL.get_or_init(|| {
            let v3 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let v4 = v3
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            let most = match std::env::var("CYTOGRAD_SIMD").as_deref() {
                Ok("base") => Level::Base,
                Ok("v3") => Level::V3,
                _ => Level::V4,
            };
            let found = if v4 {
                Level::V4
            } else if v3 {
                Level::V3
            } else {
                Level::Base
            };
            found.min(most)
        })
    }
    #[cfg(not(target_arch = "x86_64"))]
    Level::Base
}

/// `simd_fn! { pub fn name<generics>(args) -> R where bounds { body } }` defines a function whose
/// body is compiled for every [`Level`]; a call runs the best one. Functions called in the body
/// must be `#[inline(always)]` to be compiled along.
#[macro_export]
#[doc(hidden)]
macro_rules! simd_fn {
    ($(#[$meta:meta])* $vis:vis fn $name:ident $(<$($g:ident : $bound:path),*>)? ($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name $(<$($g: $bound),*>)? ($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body $(<$($g: $bound),*>)? ($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn v4 $(<$($g: $bound),*>)? ($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn v3 $(<$($g: $bound),*>)? ($($arg: $ty),*) $(-> $ret)? { body($($arg),*) }
                match $crate::cpu::simd::level() {
                    // SAFETY: the processor has these features, `level` has just said so.
                    $crate::cpu::simd::Level::V4 => return unsafe { v4($($arg),*) },
                    // SAFETY: as above.
                    $crate::cpu::simd::Level::V3 => return unsafe { v3($($arg),*) },
                    $crate::cpu::simd::Level::Base => {}
                }
            }
            body($($arg),*)
        }
    };
}
