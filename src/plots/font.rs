//! The letters that figures are measured and painted with: Inter (SIL Open Font License, see
//! `fonts/OFL.txt`), reduced to Latin, Greek and Cyrillic.

use super::drawing::Weight;
use ttf_parser::{Face, GlyphId};

static REGULAR: &[u8] = include_bytes!("fonts/inter-regular.otf");
static SEMIBOLD: &[u8] = include_bytes!("fonts/inter-semibold.otf");

/// What SVG asks the reader for; the fallbacks are about as wide.
pub(super) const FAMILY: &str = "Inter, 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif";

/// A font's outlines.
pub(super) struct Letters {
    pub face: Face<'static>,
    em: f64,
}

/// Of a weight.
pub(super) fn letters(weight: Weight) -> Letters {
    let bytes = match weight {
        Weight::Regular => REGULAR,
        Weight::Semibold => SEMIBOLD,
    };
    let face = Face::parse(bytes, 0).expect("the embedded fonts are whole");
    Letters { em: f64::from(face.units_per_em()), face }
}

impl Letters {
    /// Glyphs of a text with their places from its start, at a size.
    pub fn glyphs<'a>(&'a self, text: &'a str, size: f64) -> impl Iterator<Item = (GlyphId, f64)> + 'a {
        let mut at = 0.0;
        text.chars().map(move |c| {
            let glyph = self.face.glyph_index(c).unwrap_or(GlyphId(0));
            let from = at;
            at += f64::from(self.face.glyph_hor_advance(glyph).unwrap_or(0)) * self.scale(size);
            (glyph, from)
        })
    }

    /// From the font's units to the drawing's.
    pub fn scale(&self, size: f64) -> f64 {
        size / self.em
    }

    /// Width of a text.
    pub fn width(&self, text: &str, size: f64) -> f64 {
        let advance = |c| self.face.glyph_index(c).or(Some(GlyphId(0))).and_then(|g| self.face.glyph_hor_advance(g));
        text.chars().map(|c| f64::from(advance(c).unwrap_or(0))).sum::<f64>() * self.scale(size)
    }
}

/// Width of a text at a size.
pub(super) fn width(text: &str, size: f64, weight: Weight) -> f64 {
    letters(weight).width(text, size)
}

/// Width of the widest of some texts.
pub(super) fn widest<'a>(texts: impl IntoIterator<Item = &'a str>, size: f64, weight: Weight) -> f64 {
    let letters = letters(weight);
    texts.into_iter().map(|text| letters.width(text, size)).fold(0.0, f64::max)
}

/// The text, or as much of it as fits with an ellipsis.
pub(super) fn shortened(text: &str, size: f64, weight: Weight, most: f64) -> String {
    let letters = letters(weight);
    if letters.width(text, size) <= most {
        return text.to_owned();
    }
    let mut kept: Vec<char> = text.chars().collect();
    while kept.pop().is_some() {
        let short = format!("{}…", kept.iter().collect::<String>().trim_end());
        if letters.width(&short, size) <= most {
            return short;
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_there_and_have_widths() {
        let all = "CD4+ naïve T-cell γδ β Öñ Ж 0.05 – ≥ 10⁻³ … −1 ×";
        let font = letters(Weight::Regular);
        for c in all.chars() {
            assert!(font.face.glyph_index(c).is_some(), "{c}");
        }
        assert!(width("WWW", 12.0, Weight::Regular) > 2.0 * width("iii", 12.0, Weight::Regular));
        assert!(width("abc", 12.0, Weight::Semibold) > width("abc", 12.0, Weight::Regular));
    }

    #[test]
    fn a_long_text_is_cut_to_fit() {
        let text = "a very long name of a cell type that nobody can read in a legend";
        let short = shortened(text, 12.0, Weight::Regular, 100.0);
        assert!(short.ends_with('…') && width(&short, 12.0, Weight::Regular) <= 100.0, "{short}");
        assert_eq!(shortened("NK", 12.0, Weight::Regular, 100.0), "NK");
        assert_eq!(shortened("NK", 12.0, Weight::Regular, 1.0), "");
    }
}
