//! Which cells are the reference of a trial and which play the query.

use super::super::cells::Reference;
use super::super::profile::Settings;
use crate::data::batches::k_folds;
use std::collections::BTreeSet;

/// Batches that play the query for a type, at most: those with most of its cells.
const BATCHES: usize = 3;
/// Cells of the type, and of others, without which a trial says nothing.
const LEAST: usize = 5;
/// Without batches one part of so many plays the query.
const PARTS: usize = 5;

/// One trial.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// Class that is left out.
    pub left_out: u32,
    pub left_out_name: String,
    /// Name of the batch that plays the query, or of the part.
    pub query_name: String,
    /// Reference cells to learn from.
    pub reference: Vec<usize>,
    /// Reference cells that play the query; `None`: the query at hand does.
    pub query: Option<Vec<usize>>,
    /// Whether batch names tell reference and query apart.
    pub by_batch: bool,
    pub seed: u64,
    /// Whether features are made in the way that is not the run's.
    pub otherwise: bool,
}

/// All trials of a rehearsal.
pub(super) struct Plans {
    pub trials: Vec<Plan>,
    pub by_batch: bool,
    /// Types without a trial, and why.
    pub skipped: Vec<(String, String)>,
}

impl Plan {
    /// Tells trials of one rehearsal apart.
    pub fn name(&self) -> String {
        let way = if self.otherwise { " | otherwise" } else { "" };
        format!("{} | {} | {}{way}", self.left_out_name, self.query_name, self.seed)
    }

    /// The trials of a reference: every type (or those named), every batch that has enough of it.
    pub fn all(reference: &Reference, types: &[String], settings: &Settings, repeats: usize, seed: u64) -> Plans {
        let batches: BTreeSet<&str> = reference.batch.iter().flatten().map(String::as_str).collect();
        let by_batch = batches.len() > 1;
        Plans::new(reference, types, repeats, seed, by_batch, |class| {
            let queries = match &reference.batch {
                Some(batch) if by_batch => by_batches(reference, batch, &batches, class),
                _ => by_part(reference, class, settings.split_seed),
            };
            queries.into_iter().map(|(name, cells)| (name, Some(cells))).collect()
        })
    }

    /// The trials in the query at hand, whose cells have these labels by the run itself: every type (or those
    /// named) that the run has found there.
    pub fn at_hand(reference: &Reference, said: &[Option<u32>], types: &[String], repeats: usize, seed: u64) -> Plans {
        let mut plans = Plans::new(reference, types, repeats, seed, true, |_| vec![("the query".into(), None)]);
        let enough = |class: u32| {
            let of_it = said.iter().flatten().filter(|&&c| c == class).count();
            of_it >= LEAST && said.iter().flatten().count() - of_it >= LEAST
        };
        for (class, name) in reference.classes.iter().enumerate() {
            if plans.trials.iter().any(|plan| plan.left_out == class as u32) && !enough(class as u32) {
                plans.trials.retain(|plan| plan.left_out != class as u32);
                plans.skipped.push((name.clone(), format!("fewer than {LEAST} cells of the query are called so")));
            }
        }
        plans
    }

    fn says_something(&self, reference: &Reference) -> bool {
        let learnt: BTreeSet<u32> = self.reference.iter().map(|&row| reference.y[row]).collect();
        let Some(query) = &self.query else { return learnt.len() > 1 };
        let unknown = query.iter().filter(|&&row| reference.y[row] == self.left_out).count();
        let known = query.iter().filter(|&&row| learnt.contains(&reference.y[row])).count();
        learnt.len() > 1 && unknown >= LEAST && known >= LEAST
    }
}

impl Plans {
    /// `queries` says by name what plays the query for a class.
    fn new(
        reference: &Reference,
        types: &[String],
        repeats: usize,
        seed: u64,
        by_batch: bool,
        queries: impl Fn(u32) -> Vec<(String, Option<Vec<usize>>)>,
    ) -> Plans {
        let mut plans = Plans { trials: Vec::new(), by_batch, skipped: Vec::new() };
        for (class, name) in reference.classes.iter().enumerate() {
            if !types.is_empty() && !types.contains(name) {
                continue;
            }
            let class = class as u32;
            let fine: Vec<Plan> = queries(class)
                .into_iter()
                .filter_map(|(query_name, query)| {
                    let mut plan = Plan {
                        left_out: class,
                        left_out_name: name.clone(),
                        query_name,
                        reference: Vec::new(),
                        query,
                        by_batch,
                        seed,
                        otherwise: false,
                    };
                    plan.reference = rest(reference, &plan);
                    plan.says_something(reference).then_some(plan)
                })
                .collect();
            if fine.is_empty() {
                let what = format!(
                    "fewer than {LEAST} of its cells, or nothing to tell them from, where they could be looked for"
                );
                plans.skipped.push((name.clone(), what));
            }
            for repeat in 0..repeats.max(1) as u64 {
                plans.trials.extend(fine.iter().map(|plan| Plan { seed: seed + repeat, ..plan.clone() }));
            }
        }
        plans
    }

    /// The same trials once more with features made in the other way.
    pub fn otherwise(&mut self) {
        let more: Vec<Plan> = self.trials.iter().map(|plan| Plan { otherwise: true, ..plan.clone() }).collect();
        self.trials.extend(more);
    }
}

/// The batches with most cells of the class, each with all its cells.
fn by_batches(
    reference: &Reference,
    batch: &[String],
    batches: &BTreeSet<&str>,
    class: u32,
) -> Vec<(String, Vec<usize>)> {
    let mut queries: Vec<(usize, &str)> = batches
        .iter()
        .map(|&name| (batch.iter().zip(&reference.y).filter(|(b, y)| *b == name && **y == class).count(), name))
        .collect();
    queries.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    queries.truncate(BATCHES);
    let cells = |name: &str| (0..batch.len()).filter(|&row| batch[row] == name).collect();
    queries.into_iter().map(|(_, name)| (name.to_owned(), cells(name))).collect()
}

/// A part of every other class, another one for each class, and all cells of the class.
fn by_part(reference: &Reference, class: u32, seed: u64) -> Vec<(String, Vec<usize>)> {
    let Ok(parts) = k_folds(&reference.y, PARTS.min(reference.y.len()), seed) else { return Vec::new() };
    let at = class as usize % parts.len();
    let part = &parts[at];
    let chosen = |&row: &usize| reference.y[row] == class || part.binary_search(&row).is_ok();
    vec![(format!("part {} of {}", at + 1, parts.len()), (0..reference.y.len()).filter(chosen).collect())]
}

/// All other cells of other classes, but for classes of which a single cell is left.
fn rest(reference: &Reference, plan: &Plan) -> Vec<usize> {
    let query = plan.query.as_deref().unwrap_or_default();
    let free = |&row: &usize| reference.y[row] != plan.left_out && query.binary_search(&row).is_err();
    let rows: Vec<usize> = (0..reference.y.len()).filter(free).collect();
    let mut counts = vec![0usize; reference.classes.len()];
    rows.iter().for_each(|&row| counts[reference.y[row] as usize] += 1);
    rows.into_iter().filter(|&row| counts[reference.y[row] as usize] > 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Csr, Table};
    use crate::models::annotator::cells::Expression;

    fn reference(batches: usize) -> Reference {
        let n = 120;
        Reference {
            expression: Expression {
                x: Csr::zeros(n, 1),
                cells: (0..n).map(|i| format!("c{i}")).collect(),
                var: Table::new(vec!["G".into()]),
                place: "r: X".into(),
            },
            // The last class has four cells.
            y: (0..n as u32).map(|i| if i >= 116 { 3 } else { i % 3 }).collect(),
            classes: ["a", "b", "c", "d"].map(String::from).to_vec(),
            batch: (batches > 0).then(|| (0..n).map(|i| format!("b{}", i / 3 % batches)).collect()),
        }
    }

    /// Check 23 of the CLAMS specification: a type that is left out has no training cell, the model one
    /// output fewer, and there is a row for every type and seed.
    #[test]
    fn check_23_a_left_out_type_is_nowhere_in_training() {
        for batches in [0, 1, 2] {
            let reference = reference(batches);
            let plans = Plan::all(&reference, &[], &Settings::default(), 5, 7);
            let queries = if batches > 1 { batches } else { 1 };
            assert_eq!(plans.trials.len(), 3 * 5 * queries);
            assert_eq!(plans.skipped.iter().map(|s| s.0.as_str()).collect::<Vec<_>>(), ["d"]);
            for plan in &plans.trials {
                let learnt: BTreeSet<u32> = plan.reference.iter().map(|&r| reference.y[r]).collect();
                assert!(!learnt.contains(&plan.left_out));
                let others = (0..3).filter(|c| *c != plan.left_out).collect::<BTreeSet<u32>>();
                assert!(learnt.is_superset(&others));
                assert_eq!(reference.only(&plan.reference).classes.len(), learnt.len());
                let query = plan.query.as_ref().unwrap();
                assert!(query.iter().all(|row| plan.reference.binary_search(row).is_err()));
                if let (Some(batch), true) = (&reference.batch, plan.by_batch) {
                    assert!(query.iter().all(|&row| batch[row] == plan.query_name));
                }
            }
            let names: BTreeSet<String> = plans.trials.iter().map(Plan::name).collect();
            assert_eq!(names.len(), plans.trials.len());
        }
    }

    #[test]
    fn named_types_alone_are_left_out() {
        let plans = Plan::all(&reference(2), &["b".into()], &Settings::default(), 1, 0);
        assert!(plans.trials.len() == 2 && plans.trials.iter().all(|plan| plan.left_out_name == "b"));
    }

    #[test]
    fn in_the_query_at_hand_types_are_looked_for_that_the_run_has_found_there() {
        let reference = reference(2);
        let said: Vec<Option<u32>> = (0..30).map(|i| [Some(0), Some(1), None][i % 3]).collect();
        let mut plans = Plan::at_hand(&reference, &said, &[], 1, 0);
        let names = |plans: &Plans| plans.trials.iter().map(|plan| plan.left_out_name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&plans), ["a", "b"]);
        assert_eq!(plans.skipped.iter().map(|s| s.0.as_str()).collect::<Vec<_>>(), ["c", "d"]);
        for plan in &plans.trials {
            assert!(plan.query.is_none() && plan.by_batch);
            // All that the reference has of the others.
            assert_eq!(plan.reference.len(), reference.y.iter().filter(|y| **y != plan.left_out).count());
        }
        plans.otherwise();
        assert_eq!(names(&plans), ["a", "b", "a", "b"]);
        let different: BTreeSet<String> = plans.trials.iter().map(Plan::name).collect();
        assert_eq!(different.len(), 4);
    }
}
