//! One HTML page with everything inside: no script, nothing from outside, readable on paper.

use crate::plots::{Figure, Table, escape};
use std::fmt::Write;

/// A large number with its words.
#[derive(Clone, Debug, PartialEq)]
pub struct Tile {
    /// The number.
    pub value: String,
    /// What it counts.
    pub name: String,
}

/// A part of the page under a heading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// A sentence or two; empty for none.
    pub text: String,
    /// A table over the whole width, if any.
    pub table: Option<Table>,
    /// Its figures, two beside each other where there is room.
    pub figures: Vec<Figure>,
}

/// The page.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Its heading.
    pub title: String,
    /// What stands below it.
    pub subtitle: String,
    /// Large numbers at the top.
    pub tiles: Vec<Tile>,
    /// The parts; those without content are left out.
    pub sections: Vec<Section>,
    /// What could not be shown, and why.
    pub missing: Vec<String>,
    /// The last line.
    pub footer: String,
}

const STYLE: &str = "\
:root{--ink:#1f2328;--grey:#57606a;--line:#d8dee4}\
*{box-sizing:border-box}\
body{margin:0;background:#f4f5f7;color:var(--ink);font:15px/1.5 Inter,'Helvetica Neue',Helvetica,Arial,'Liberation Sans',sans-serif;font-variant-ligatures:no-contextual}\
main{max-width:1280px;margin:0 auto;padding:32px 24px 48px}\
h1{font-size:28px;line-height:1.2;margin:0}\
h2{font-size:19px;margin:40px 0 4px}\
p{margin:4px 0 12px;max-width:78ch;color:var(--grey)}\
.tiles{display:flex;flex-wrap:wrap;gap:12px;margin:24px 0 8px}\
.tile{background:#fff;border:1px solid var(--line);border-radius:8px;padding:12px 18px;min-width:132px}\
.tile b{display:block;font-size:24px;line-height:1.2;font-variant-numeric:tabular-nums}\
.tile span{color:var(--grey);font-size:13px}\
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(560px,100%),1fr));gap:16px;margin-top:12px}\
figure{margin:0;background:#fff;border:1px solid var(--line);border-radius:8px;padding:8px 8px 12px;overflow:hidden}\
figure svg{display:block;max-width:100%;height:auto}\
figcaption{font-size:13px;color:var(--grey);padding:4px 12px 0}\
table{border-collapse:collapse;background:#fff;border:1px solid var(--line);width:100%;font-size:14px;margin-top:12px}\
th,td{text-align:left;padding:6px 12px;border-top:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}\
th{border-top:0;color:var(--grey);font-weight:600}\
td:first-child{white-space:nowrap}\
tr:first-child td{border-top:0}\
ul{color:var(--grey);font-size:14px;padding-left:20px}\
footer{margin-top:40px;color:var(--grey);font-size:13px}\
@page{size:A4;margin:14mm}\
@media print{\
body{background:#fff;font-size:10pt;-webkit-print-color-adjust:exact;print-color-adjust:exact}\
main{max-width:none;padding:0}\
h2{margin-top:20px;break-after:avoid}\
figure,.tile,tr{break-inside:avoid}\
figure{border:0;padding:0}\
.figures{display:block}\
.figures figure{display:inline-block;vertical-align:top;width:49%;margin-bottom:8px}\
figcaption{font-size:8pt}\
td:first-child{white-space:normal}\
table{font-size:8.5pt}}";

impl Page {
    /// As a document.
    pub fn html(&self) -> String {
        let title = escape(&self.title);
        let mut out = format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n</head>\n<body>\n<main>\n<header>\n<h1>{title}</h1>\n<p>{}</p>\n</header>\n",
            escape(&self.subtitle)
        );
        if !self.tiles.is_empty() {
            out += "<div class=\"tiles\">\n";
            for tile in &self.tiles {
                // Writing to a String cannot fail, here and below.
                let (value, name) = (escape(&tile.value), escape(&tile.name));
                let _ = writeln!(out, "<div class=\"tile\"><b>{value}</b><span>{name}</span></div>");
            }
            out += "</div>\n";
        }
        let filled = |s: &&Section| s.table.as_ref().is_some_and(|t| !t.rows.is_empty()) || !s.figures.is_empty();
        for section in self.sections.iter().filter(filled) {
            let _ = writeln!(out, "<section>\n<h2>{}</h2>", escape(&section.title));
            if !section.text.is_empty() {
                let _ = writeln!(out, "<p>{}</p>", escape(&section.text));
            }
            if let Some(table) = section.table.as_ref().filter(|t| !t.rows.is_empty()) {
                rows(&mut out, table);
            }
            if !section.figures.is_empty() {
                out += "<div class=\"figures\">\n";
                for figure in &section.figures {
                    let _ = writeln!(
                        out,
                        "<figure id=\"{}\">\n{}<figcaption>{}</figcaption>\n</figure>",
                        escape(&figure.name),
                        figure.drawing.svg(&figure.title),
                        escape(&figure.caption)
                    );
                }
                out += "</div>\n";
            }
            out += "</section>\n";
        }
        if !self.missing.is_empty() {
            out += "<section>\n<h2>Not shown</h2>\n<ul>\n";
            for line in &self.missing {
                let _ = writeln!(out, "<li>{}</li>", escape(line));
            }
            out += "</ul>\n</section>\n";
        }
        let _ = writeln!(out, "<footer>{}</footer>\n</main>\n</body>\n</html>", escape(&self.footer));
        out
    }
}

/// A table; without names of columns it has no head.
fn rows(out: &mut String, table: &Table) {
    out.push_str("<table>\n");
    let line = |out: &mut String, cells: &[String], kind: &str| {
        out.push_str("<tr>");
        for cell in cells {
            let _ = write!(out, "<{kind}>{}</{kind}>", escape(cell));
        }
        out.push_str("</tr>\n");
    };
    if table.header.iter().any(|h| !h.is_empty()) {
        line(out, &table.header, "th");
    }
    table.rows.iter().for_each(|row| line(out, row, "td"));
    out.push_str("</table>\n");
}
