//! A drawing as PNG, painted by tiny-skia.

use super::colour::Colour;
use super::drawing::{Anchor, Drawing, Mark, Weight};
use super::font;
use crate::error::{Error, Result};
use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, StrokeDash, Transform,
};
use ttf_parser::OutlineBuilder;

/// Beyond this many pixels a side, a drawing is painted smaller.
const MOST: f64 = 8000.0;

impl Drawing {
    /// As a PNG file with `scale` pixels per unit (2: 192 to the inch).
    ///
    /// # Errors
    /// `Error::Argument` if the sheet has no area.
    pub fn png(&self, scale: f64) -> Result<Vec<u8>> {
        let wrong = |what: String| Error::Argument { op: "png", what };
        let scale = scale.min(MOST / self.width.max(self.height).max(1.0));
        let (width, height) = ((self.width * scale).ceil() as u32, (self.height * scale).ceil() as u32);
        let mut sheet =
            Pixmap::new(width, height).ok_or_else(|| wrong(format!("a sheet of {} x {}", self.width, self.height)))?;
        sheet.fill(Color::WHITE);
        let painter = Painter { transform: Transform::from_scale(scale as f32, scale as f32) };
        self.marks.iter().for_each(|mark| painter.paint(&mut sheet, mark));
        sheet.encode_png().map_err(|e| wrong(e.to_string()))
    }
}

struct Painter {
    transform: Transform,
}

impl Painter {
    fn paint(&self, sheet: &mut Pixmap, mark: &Mark) {
        match mark {
            Mark::Rect { x, y, width, height, fill, opacity } => {
                if let Some(rect) = Rect::from_xywh(*x as f32, *y as f32, *width as f32, *height as f32) {
                    self.fill(sheet, &PathBuilder::from_rect(rect), *fill, *opacity, self.transform);
                }
            }
            Mark::Line { points, stroke, width, dashed } => {
                if let Some(path) = through(points, false) {
                    let dash = if *dashed { StrokeDash::new(vec![4.0, 3.0], 0.0) } else { None };
                    self.stroke(sheet, &path, *stroke, *width, dash, self.transform);
                }
            }
            Mark::Area { points, fill, opacity } => {
                if let Some(path) = through(points, true) {
                    self.fill(sheet, &path, *fill, *opacity, self.transform);
                }
            }
            Mark::Dots { points, radius, fill, opacity } => {
                let mut discs = PathBuilder::new();
                points.iter().for_each(|p| discs.push_circle(p[0] as f32, p[1] as f32, *radius as f32));
                if let Some(path) = discs.finish() {
                    self.fill(sheet, &path, *fill, *opacity, self.transform);
                }
            }
            Mark::Text { x, y, text, size, weight, fill, anchor, turn, halo } => {
                let Some(path) = outline(text, *size, *weight, *anchor) else { return };
                let place = Transform::from_translate(*x as f32, *y as f32).pre_rotate(*turn as f32);
                let transform = self.transform.pre_concat(place);
                if *halo {
                    self.stroke(sheet, &path, [255; 3], 3.0, None, transform);
                }
                self.fill(sheet, &path, *fill, 1.0, transform);
            }
        }
    }

    fn fill(&self, sheet: &mut Pixmap, path: &Path, colour: Colour, opacity: f64, transform: Transform) {
        sheet.fill_path(path, &paint(colour, opacity), FillRule::Winding, transform, None);
    }

    fn stroke(
        &self,
        sheet: &mut Pixmap,
        path: &Path,
        colour: Colour,
        width: f64,
        dash: Option<StrokeDash>,
        transform: Transform,
    ) {
        let stroke = Stroke {
            width: width as f32,
            line_join: LineJoin::Round,
            line_cap: LineCap::Butt,
            dash,
            ..Stroke::default()
        };
        sheet.stroke_path(path, &paint(colour, 1.0), &stroke, transform, None);
    }
}

fn paint([r, g, b]: Colour, opacity: f64) -> Paint<'static> {
    let mut paint = Paint::default();
    paint.set_color_rgba8(r, g, b, (opacity.clamp(0.0, 1.0) * 255.0).round() as u8);
    paint
}

fn through(points: &[[f64; 2]], closed: bool) -> Option<Path> {
    let mut path = PathBuilder::new();
    for (i, p) in points.iter().enumerate() {
        let (x, y) = (p[0] as f32, p[1] as f32);
        if i == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
    }
    if closed {
        path.close();
    }
    path.finish()
}

/// The letters' outlines about the point where the text is anchored.
fn outline(text: &str, size: f64, weight: Weight, anchor: Anchor) -> Option<Path> {
    let letters = font::letters(weight);
    let start = match anchor {
        Anchor::Start => 0.0,
        Anchor::Middle => -0.5 * letters.width(text, size),
        Anchor::End => -letters.width(text, size),
    };
    let mut pen = Pen { path: PathBuilder::new(), x: 0.0, scale: letters.scale(size) as f32 };
    for (glyph, at) in letters.glyphs(text, size) {
        pen.x = (start + at) as f32;
        letters.face.outline_glyph(glyph, &mut pen);
    }
    pen.path.finish()
}

/// Font units, y upwards, to the drawing's.
struct Pen {
    path: PathBuilder,
    x: f32,
    scale: f32,
}

impl Pen {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.scale, -y * self.scale)
    }
}

impl OutlineBuilder for Pen {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.move_to(x, y);
    }
    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.path.line_to(x, y);
    }
    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.path.quad_to(x1, y1, x, y);
    }
    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }
    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plots::{BLUE, INK};

    #[test]
    fn what_is_drawn_is_painted() {
        let mut drawing = Drawing::new(60.0, 40.0);
        drawing.rect([0.0, 0.0], [10.0, 10.0], BLUE, 1.0);
        drawing.dots([[50.0, 30.0]], 4.0, INK, 1.0);
        drawing.text([20.0, 30.0], "A<b", INK, Anchor::Start);
        let sheet = Pixmap::decode_png(&drawing.png(2.0).unwrap()).unwrap();
        assert_eq!((sheet.width(), sheet.height()), (120, 80));
        let at = |x: u32, y: u32| {
            let p = sheet.pixel(2 * x, 2 * y).unwrap();
            [p.red(), p.green(), p.blue()]
        };
        assert_eq!((at(5, 5), at(50, 30), at(30, 5)), (BLUE, INK, [255; 3]));
        let dark = (36..60).flat_map(|y| (40..90).map(move |x| (x, y)));
        assert!(dark.filter(|&(x, y)| sheet.pixel(x, y).unwrap().red() < 128).count() > 50, "letters");
        assert!(Drawing::new(0.0, 5.0).png(2.0).is_err());
        assert!(Drawing::new(1e6, 5.0).png(2.0).is_ok(), "a large sheet is painted smaller");
    }
}
