//! A drawing as SVG: a whole document, no reference to anything outside.

use super::colour::Colour;
use super::drawing::{Anchor, Drawing, Mark, Weight};
use super::font::FAMILY;
use std::fmt::Write;

/// Text for SVG, HTML and attributes in double quotes; what XML cannot hold is left out.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            '\t' | '\n' => out.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

impl Drawing {
    /// As an SVG document whose accessible name is `title`.
    pub fn svg(&self, title: &str) -> String {
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" \
             role=\"img\" aria-label=\"{}\" font-family=\"{FAMILY}\" style=\"font-variant-ligatures:no-contextual\">\n\
             <rect width=\"{w}\" height=\"{h}\" fill=\"#fff\"/>\n",
            escape(title),
            w = short(self.width),
            h = short(self.height),
        );
        self.marks.iter().for_each(|mark| write_mark(&mut out, mark));
        out += "</svg>\n";
        out
    }
}

fn write_mark(out: &mut String, mark: &Mark) {
    // Writing to a String cannot fail.
    let _ = match mark {
        Mark::Rect { x, y, width, height, fill, opacity } => writeln!(
            out,
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"{}/>",
            short(*x),
            short(*y),
            short(*width),
            short(*height),
            hex(*fill),
            see_through("fill", *opacity)
        ),
        Mark::Line { points, stroke, width, dashed } => writeln!(
            out,
            "<path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" stroke-linejoin=\"round\"{}/>",
            through(points),
            hex(*stroke),
            short(*width),
            if *dashed { " stroke-dasharray=\"4 3\"" } else { "" }
        ),
        Mark::Area { points, fill, opacity } => {
            writeln!(out, "<path d=\"{}Z\" fill=\"{}\"{}/>", through(points), hex(*fill), see_through("fill", *opacity))
        }
        Mark::Dots { points, radius, fill, opacity } => {
            // A line of no length with round ends is a disc.
            let d: String = points.iter().map(|p| format!("M{} {}h0", short(p[0]), short(p[1]))).collect();
            writeln!(
                out,
                "<path class=\"dots\" data-n=\"{}\" d=\"{d}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" \
                 stroke-linecap=\"round\"{}/>",
                points.len(),
                hex(*fill),
                short(2.0 * radius),
                see_through("stroke", *opacity)
            )
        }
        Mark::Text { x, y, text, size, weight, fill, anchor, turn, halo } => {
            let anchor = match anchor {
                Anchor::Start => "",
                Anchor::Middle => " text-anchor=\"middle\"",
                Anchor::End => " text-anchor=\"end\"",
            };
            let weight = if *weight == Weight::Semibold { " font-weight=\"600\"" } else { "" };
            let halo = if *halo {
                " stroke=\"#fff\" stroke-width=\"3\" stroke-linejoin=\"round\" paint-order=\"stroke\""
            } else {
                ""
            };
            let (x, y) = (short(*x), short(*y));
            let turn =
                if *turn == 0.0 { String::new() } else { format!(" transform=\"rotate({} {x} {y})\"", short(*turn)) };
            let (size, fill, text) = (short(*size), hex(*fill), escape(text));
            writeln!(
                out,
                "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\" fill=\"{fill}\"{weight}{anchor}{halo}{turn}>{text}</text>"
            )
        }
    };
}

fn through(points: &[[f64; 2]]) -> String {
    let mut d = String::new();
    for (i, p) in points.iter().enumerate() {
        let _ = write!(d, "{}{} {}", if i == 0 { "M" } else { "L" }, short(p[0]), short(p[1]));
    }
    d
}

fn see_through(what: &str, opacity: f64) -> String {
    if opacity >= 1.0 { String::new() } else { format!(" {what}-opacity=\"{}\"", short(opacity)) }
}

fn hex([r, g, b]: Colour) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// Two digits after the point, none that say nothing.
fn short(v: f64) -> String {
    let text = format!("{v:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plots::{GREY, INK};

    #[test]
    fn text_is_escaped_and_places_that_are_no_numbers_are_left_out() {
        let mut drawing = Drawing::new(100.0, 50.0);
        drawing.text([1.0, 2.0], "CD4 <T> & \"B\"\u{0}'s", INK, Anchor::Start);
        drawing.dots([[1.0, 2.0], [f64::NAN, 1.0], [3.5, 4.25]], 2.0, GREY, 0.5);
        drawing.line(&[[0.0, 0.0], [1.0, 1.0], [f64::NAN, 0.0], [2.0, 2.0], [3.0, 3.0]], INK, 1.0, true);
        drawing.rect([f64::INFINITY, 0.0], [1.0, 1.0], INK, 1.0);
        let svg = drawing.svg("a \"title\"");
        assert!(svg.contains(">CD4 &lt;T&gt; &amp; &quot;B&quot;&#39;s</text>"), "{svg}");
        assert!(svg.contains("data-n=\"2\"") && svg.contains("M3.5 4.25h0"), "{svg}");
        assert!(svg.contains("M0 0L1 1\"") && svg.contains("M2 2L3 3\""), "{svg}");
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.contains("aria-label=\"a &quot;title&quot;\""), "{svg}");
    }
}
