//! Cells on a plane by t-SNE, in several colourings.

use super::cells::Cells;
use crate::analysis::tsne::{TsneConfig, tsne};
use crate::error::Result;
use crate::models::run::{Observer, interrupt};
use crate::plots::{Figure, Group, KNOWN, Scatter, Table, UNKNOWN, category, number};
use crate::rng::{Stream, stream};

/// Side of the square that cells are drawn in.
const SIDE: f64 = 440.0;

/// Some rows of a matrix and where they lie on the plane.
pub struct Plane {
    /// The rows that are shown, ascending.
    pub rows: Vec<usize>,
    /// Their places.
    pub places: Vec<[f64; 2]>,
}

impl Plane {
    /// At most `most` rows of `x` `[n, width]` whose values are finite.
    ///
    /// # Errors
    /// As [`tsne`]; `Error::Interrupted`.
    pub fn new(x: &[f32], width: usize, most: usize, seed: u64, observer: &mut dyn Observer) -> Result<Plane> {
        let finite: Vec<usize> = x
            .chunks_exact(width.max(1))
            .enumerate()
            .filter(|(_, r)| r.iter().all(|v| v.is_finite()))
            .map(|r| r.0)
            .collect();
        let mut rows = finite;
        if rows.len() > most {
            let mut rng = Stream::new(seed, stream::SUBSAMPLE).rng();
            let mut kept = rng.sample_without_replacement(rows.len(), most);
            kept.sort_unstable();
            rows = kept.into_iter().map(|k| rows[k as usize]).collect();
        }
        let values: Vec<f64> =
            rows.iter().flat_map(|&r| x[r * width..(r + 1) * width].iter().map(|&v| f64::from(v))).collect();
        let config = TsneConfig { seed, ..TsneConfig::default() };
        observer.begin(config.iterations as u64, "t-SNE");
        let found = tsne(&values, width, &config, &mut |t| {
            observer.step(t as u64, format_args!("{} cells", rows.len()));
            interrupt::check("no report was written")
        })?;
        observer.end();
        Ok(Plane { rows, places: found.y.chunks_exact(2).map(|p| [p[0], p[1]]).collect() })
    }

    /// Coloured by a group of each row.
    fn figure(
        &self,
        name: &str,
        title: &str,
        caption: &str,
        groups: Vec<Group>,
        labelled: bool,
        of: &dyn Fn(usize) -> Option<usize>,
    ) -> Figure {
        let codes: Vec<Option<usize>> = self.rows.iter().map(|&row| of(row)).collect();
        let mut table = Table::new(&["row", "tsne1", "tsne2", "group"]);
        for ((row, place), code) in self.rows.iter().zip(&self.places).zip(&codes) {
            let group = code.map_or(String::new(), |g| groups[g].name.clone());
            table.push(vec![row.to_string(), number(place[0]), number(place[1]), group]);
        }
        Figure {
            name: name.into(),
            title: title.into(),
            caption: caption.into(),
            drawing: Scatter { title: title.into(), points: self.places.clone(), codes, groups, labelled, side: SIDE }
                .draw(),
            table,
        }
    }

    /// The annotated cells by label, by flag and by true type.
    pub fn of_cells(&self, cells: &Cells) -> Vec<Figure> {
        let mut figures = vec![
            self.figure(
                "tsne_labels",
                "Cells by label given",
                "t-SNE of the network's last hidden layer; cells that lie together look alike to the model.",
                types(&cells.labels),
                true,
                &|row| cells.given[row],
            ),
            self.figure(
                "tsne_unknown",
                "Cells called unknown",
                "The same plane. A group of its own in the colour of unknown cells is a likely new population; single \
                 ones at the border of a known type are rather its outliers.",
                vec![
                    Group { name: "like the reference".into(), colour: KNOWN },
                    Group { name: "called unknown".into(), colour: UNKNOWN },
                ],
                false,
                &|row| Some(usize::from(cells.flagged[row])),
            ),
        ];
        if let Some(truth) = &cells.truth {
            let mut names = cells.labels.clone();
            let mut others: Vec<&String> = truth.iter().flatten().filter(|t| !cells.labels.contains(t)).collect();
            others.sort();
            others.dedup();
            names.extend(others.into_iter().cloned());
            figures.push(self.figure(
                "tsne_truth",
                "Cells by true type",
                "The same plane with the true types; those that the model does not know come last in the list.",
                types(&names),
                true,
                &|row| names.iter().position(|name| Some(name) == truth[row].as_ref()),
            ));
        }
        figures
    }

    /// Rows below `real` are real cells, the others generated; each has a type by the model.
    pub fn of_generated(&self, real: usize, types_of: &[usize], labels: &[String]) -> Vec<Figure> {
        vec![
            self.figure(
                "tsne_source",
                "Real and sampled cells",
                "t-SNE of the network's inputs. A model of the cells' density has samples wherever there are cells, and \
                 none elsewhere.",
                vec![
                    Group { name: "real".into(), colour: KNOWN },
                    Group { name: "sampled".into(), colour: [0x8e, 0x58, 0x7c] },
                ],
                false,
                &|row| Some(usize::from(row >= real)),
            ),
            self.figure(
                "tsne_source_types",
                "Real and sampled cells by type",
                "The same plane with the type that the model gives to each real and each sampled cell.",
                types(labels),
                true,
                &|row| types_of.get(row).copied(),
            ),
        ]
    }
}

fn types(names: &[String]) -> Vec<Group> {
    names.iter().enumerate().map(|(i, name)| Group { name: name.clone(), colour: category(i) }).collect()
}
