//! Colours that people tell apart who do not see all of them, on paper too.

/// Red, green, blue.
pub type Colour = [u8; 3];

/// Text and what counts most.
pub const INK: Colour = [0x1f, 0x23, 0x28];
/// Axes, second-rank text, cells without a type.
pub const GREY: Colour = [0x6e, 0x77, 0x81];
/// Grid lines, backgrounds of bars.
pub const LIGHT: Colour = [0xe4, 0xe7, 0xeb];
/// Cells like the reference (bluish green; Okabe and Ito 2008).
pub const KNOWN: Colour = [0x00, 0x9e, 0x73];
/// Cells unlike the reference (vermilion), in no other use.
pub const UNKNOWN: Colour = [0xd5, 0x5e, 0x00];
/// A single series.
pub const BLUE: Colour = [0x00, 0x72, 0xb2];

/// Blue, orange, green, pink and sky of Okabe and Ito (2008), then the colours that are each as far as
/// possible (in Oklab) from those before, from white, grey and [`UNKNOWN`], as normal, protanope and
/// deuteranope eyes see them (Machado et al. 2009); the last ones are 0.06 apart.
const CATEGORIES: [u32; 24] = [
    0x0072b2, 0xe69f00, 0x009e73, 0xcc79a7, 0x56b4e9, 0x6a1022, 0x22228e, 0x34e8b2, 0x8e4610, 0x58466a, 0x8e7ce8,
    0x3446b2, 0x8e587c, 0x581058, 0xc4d66a, 0x6ac47c, 0x7cd6e8, 0x106a46, 0x7cc4b2, 0xe87c34, 0x587c58, 0x10588e,
    0x8e1010, 0x466ad6,
];

/// Colour of the category `i`; after 24 they repeat, lighter each time.
pub fn category(i: usize) -> Colour {
    let [_, r, g, b] = CATEGORIES[i % CATEGORIES.len()].to_be_bytes();
    let lighter = 0.6f64.powi((i / CATEGORIES.len()).min(4) as i32);
    [r, g, b].map(|v| (255.0 - (255.0 - f64::from(v)) * lighter).round() as u8)
}

/// From white (0) over blue to nearly black blue (1); as dark in print as on a screen.
pub fn shade(share: f64) -> Colour {
    const STOPS: [[f64; 3]; 4] =
        [[255.0, 255.0, 255.0], [158.0, 202.0, 225.0], [33.0, 113.0, 181.0], [8.0, 38.0, 84.0]];
    let at = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) } * 3.0;
    let (low, part) = ((at as usize).min(2), at - at.floor().min(2.0));
    std::array::from_fn(|c| (STOPS[low][c] + part * (STOPS[low + 1][c] - STOPS[low][c])).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_differ_and_none_looks_like_unknown() {
        let all: Vec<Colour> = (0..48).map(category).collect();
        for (i, a) in all.iter().enumerate() {
            assert!(!all[..i].contains(a), "{i}");
            let far: i32 = (0..3).map(|c| (i32::from(a[c]) - i32::from(UNKNOWN[c])).abs()).sum();
            assert!(far > 40, "{i}: {a:?}");
        }
    }

    #[test]
    fn shades_darken_evenly_from_white() {
        let sums: Vec<u32> = (0..=20).map(|i| shade(f64::from(i) / 20.0).iter().map(|&v| u32::from(v)).sum()).collect();
        assert_eq!(sums[0], 765);
        assert!(sums.windows(2).all(|w| w[1] < w[0]), "{sums:?}");
        assert_eq!(shade(f64::NAN), [255; 3]);
    }
}
