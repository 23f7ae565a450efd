//! Values for tests that compare bits.
#![allow(dead_code)]

/// Reproducible ordinary values, about normal.
pub fn ordinary(n: usize, seed: u32) -> Vec<f32> {
    let mut s = seed.wrapping_mul(2_654_435_761).wrapping_add(12345) | 1;
    (0..n)
        .map(|_| {
            let mut sum = 0.0;
            for _ in 0..4 {
                s ^= s << 13;
                s ^= s >> 17;
                s ^= s << 5;
                sum += (s >> 8) as f32 / 16_777_216.0 - 0.5;
            }
            sum * 1.7
        })
        .collect()
}

/// Ordinary values with NaN, infinities, signed zeros, subnormals and extremes strewn in.
pub fn hostile(n: usize, seed: u32) -> Vec<f32> {
    let odd = [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        0.0,
        -0.0,
        1e-45,
        -1e-45,
        1.1e-38,
        -3.3e-39,
        f32::MAX,
        f32::MIN,
        f32::MIN_POSITIVE,
        1.0,
        -1.0,
        16_777_217.0,
        88.8,
        -104.0,
        0.5,
    ];
    let mut values = ordinary(n, seed);
    for (i, v) in values.iter_mut().enumerate() {
        let pick = (i as u32).wrapping_mul(2_246_822_519).wrapping_add(seed.wrapping_mul(97)) >> 7;
        if pick.is_multiple_of(3) {
            *v = odd[(pick / 3) as usize % odd.len()];
        }
    }
    values
}

/// Like [`hostile`], without NaN and infinities.
pub fn finite(n: usize, seed: u32) -> Vec<f32> {
    let clean = |v: f32| if v.is_finite() { v.clamp(-1e15, 1e15) } else { 0.25 };
    hostile(n, seed).into_iter().map(clean).collect()
}
