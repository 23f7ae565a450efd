//! Two arguments: no sweep, but many draws, and the table of special cases.

use cytograd::math;
use cytograd::rng::{Stream, stream};

fn spacing(v: f64) -> f64 {
    let a = v.abs().clamp(2f64.powi(-126), 2f64.powi(127));
    2f64.powi(((a.to_bits() >> 52) as i32) - 1023 - 23)
}

#[test]
fn pow_within_2_ulp() {
    let draws = Stream::new(5, stream::TEST);
    let (mut worst, mut sum, mut count) = (0.0f64, 0.0, 0u32);
    let mut at = (0.0, 0.0);
    for block in 0..3_000_000 {
        let [a, b, c, d] = draws.words4(block);
        let x = match d % 4 {
            0 => f32::from_bits(a & 0x7fff_ffff),
            1 => f32::from_bits(0x3f00_0000 + (a >> 8)),
            2 => -((a % 4000) as f32) / 16.0,
            _ => f32::from_bits(0x3f7f_0000 + (a & 0x1_ffff)),
        };
        if !x.is_finite() || x == 0.0 {
            continue;
        }
        // Mostly exponents that keep the result finite.
        let reach = 150.0 / f64::from(x.abs()).log2().abs().max(1e-30);
        let y = ((f64::from(b) / 2f64.powi(31) - 1.0) * reach) as f32;
        let y = if x < 0.0 || c % 8 == 0 { y.round() } else { y };
        let want = f64::from(x).powf(f64::from(y));
        let found = math::pow(x, y);
        if want.is_nan() {
            assert!(found.is_nan(), "pow({x:e}, {y:e})");
            continue;
        }
        let top = |v: f64| v.clamp(-(2f64.powi(128)), 2f64.powi(128));
        let ulp = (top(f64::from(found)) - top(want)).abs() / spacing(want);
        sum += ulp;
        count += 1;
        if ulp > worst {
            (worst, at) = (ulp, (x, y));
        }
    }
    println!(
        "math::pow            max {worst:.3} ulp at {at:?}, mean {:.4} ulp, {count} arguments",
        sum / f64::from(count)
    );
    assert!(worst <= 2.0);
}

#[test]
fn pow_of_special_arguments_follows_c99() {
    let values = [
        0.0,
        1e-45,
        1e-38,
        0.25,
        0.5,
        0.999_999_94,
        1.0,
        1.000_000_1,
        1.5,
        2.0,
        3.0,
        4.0,
        5.0,
        127.0,
        128.0,
        149.0,
        150.0,
        1e5,
        8_388_607.0,
        8_388_609.0,
        16_777_215.0,
        16_777_216.0,
        33_554_432.0,
        1e20,
        f32::MAX,
        f32::INFINITY,
        f32::NAN,
    ];
    for x in values.iter().flat_map(|&v| [v, -v]) {
        for y in values.iter().flat_map(|&v| [v, -v]) {
            let want = f64::from(x).powf(f64::from(y)) as f32;
            let found = math::pow(x, y);
            let same = found.to_bits() == want.to_bits()
                || (found.is_nan() && want.is_nan())
                || (found.to_bits().abs_diff(want.to_bits()) <= 1 && want != 0.0 && want.is_finite());
            assert!(same, "pow({x:e}, {y:e}) = {found:e}, not {want:e}");
        }
    }
}
