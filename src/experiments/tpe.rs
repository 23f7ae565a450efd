//! A search by tree-structured Parzen estimators (Bergstra et al. 2011): the next point is, of some drawn
//! from a density of good points, the one that is most likely there and least likely in a density of all
//! others. Every dimension has densities of its own.
//!
//! Kernels are logistic, cut to the interval: their distribution has an inverse in elementary functions.

use crate::analysis::linalg::{exp, ln};
use crate::rng::{Rng, Stream};

/// Share of the points that count as good.
const GOOD: f64 = 0.25;
/// Points that are drawn for one proposal.
const CANDIDATES: usize = 24;
/// Width of a logistic kernel, as a share of its standard deviation (sqrt 3 / pi).
const LOGISTIC: f64 = 0.551_328_895_421_792;

/// A dimension of the space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// One of so many choices, by index.
    Choice(usize),
    /// The interval from 0 to 1.
    Unit,
}

/// The next point to try: at random without `history` (points and their values, of which the highest is
/// looked for), else where good ones are dense.
pub fn propose(space: &[Dimension], history: &[(Vec<f64>, f64)], draws: Stream) -> Vec<f64> {
    let mut rng = draws.rng();
    let mut order: Vec<usize> = (0..history.len()).collect();
    order.sort_by(|&a, &b| history[b].1.total_cmp(&history[a].1).then(a.cmp(&b)));
    let (good, others) = order.split_at((GOOD * history.len() as f64).ceil() as usize);
    let values = |rows: &[usize], d: usize| rows.iter().map(|&row| history[row].0[d]).collect::<Vec<f64>>();
    let next = |(d, dimension): (usize, &Dimension)| {
        let (good, others) = (values(good, d), values(others, d));
        match *dimension {
            Dimension::Choice(n) => choose(&shares(&good, n), &shares(&others, n), &mut rng),
            Dimension::Unit => place(&Parzen::new(&good), &Parzen::new(&others), &mut rng),
        }
    };
    space.iter().enumerate().map(next).collect()
}

/// How often each choice was taken, every one once more than it was.
fn shares(taken: &[f64], n: usize) -> Vec<f64> {
    let mut counts = vec![1.0; n];
    taken.iter().for_each(|&choice| counts[choice as usize] += 1.0);
    let total = (taken.len() + n) as f64;
    counts.iter().map(|count| count / total).collect()
}

fn choose(good: &[f64], others: &[f64], rng: &mut Rng) -> f64 {
    let candidates = (0..CANDIDATES).map(|_| rng.categorical(good));
    best(candidates.map(|choice| (choice as f64, good[choice] / others[choice])))
}

fn place(good: &Parzen, others: &Parzen, rng: &mut Rng) -> f64 {
    best((0..CANDIDATES).map(|_| good.draw(rng)).map(|x| (x, good.density(x) / others.density(x))))
}

/// The first of the highest ratio.
fn best(candidates: impl Iterator<Item = (f64, f64)>) -> f64 {
    candidates.fold((0.0, f64::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best }).0
}

/// A density over the unit interval: a kernel on every point, and a wide one that is always there.
struct Parzen {
    /// Centre and width of each.
    kernels: Vec<(f64, f64)>,
}

impl Parzen {
    /// A kernel is as wide as the gap to the farther of its neighbours, within limits.
    fn new(points: &[f64]) -> Parzen {
        let mut sorted = points.to_vec();
        sorted.sort_by(f64::total_cmp);
        let narrowest = 1.0 / (points.len() as f64 + 1.0).min(100.0);
        let width = |i: usize| {
            let left = if i == 0 { sorted[i] } else { sorted[i] - sorted[i - 1] };
            let right = sorted.get(i + 1).map_or(1.0 - sorted[i], |next| next - sorted[i]);
            left.max(right).clamp(narrowest, 1.0)
        };
        let own = (0..sorted.len()).map(|i| (sorted[i], LOGISTIC * width(i)));
        Parzen { kernels: std::iter::once((0.5, LOGISTIC)).chain(own).collect() }
    }

    fn density(&self, x: f64) -> f64 {
        let kernel = |&(centre, width): &(f64, f64)| {
            let s = sigmoid((x - centre) / width);
            let inside = sigmoid((1.0 - centre) / width) - sigmoid(-centre / width);
            s * (1.0 - s) / width / inside
        };
        self.kernels.iter().map(kernel).sum::<f64>() / self.kernels.len() as f64
    }

    fn draw(&self, rng: &mut Rng) -> f64 {
        let (centre, width) = self.kernels[rng.below(self.kernels.len() as u32) as usize];
        let (low, high) = (sigmoid(-centre / width), sigmoid((1.0 - centre) / width));
        let p = low + (high - low) * rng.uniform53();
        (centre + width * ln(p / (1.0 - p))).clamp(0.0, 1.0)
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    const SPACE: [Dimension; 4] = [Dimension::Unit, Dimension::Unit, Dimension::Choice(4), Dimension::Unit];

    /// Highest at (0.2, 0.7) with choice 2; the last dimension plays no part.
    fn value(x: &[f64]) -> f64 {
        -(x[0] - 0.2).powi(2) - (x[1] - 0.7).powi(2) - if x[2] == 2.0 { 0.0 } else { 0.3 }
    }

    fn search(informed: bool, seed: u64) -> Vec<(Vec<f64>, f64)> {
        let mut history: Vec<(Vec<f64>, f64)> = Vec::new();
        for trial in 0..60 {
            let known = if informed && trial >= 10 { history.as_slice() } else { &[] };
            let x = propose(&SPACE, known, Stream::new(seed, stream::SWEEP).at(trial));
            history.push((x.clone(), value(&x)));
        }
        history
    }

    #[test]
    fn a_search_finds_the_optimum_closer_than_chance() {
        let late = |informed, seed| search(informed, seed)[40..].iter().map(|(_, v)| v).sum::<f64>() / 20.0;
        for seed in 0..5 {
            let (informed, chance) = (late(true, seed), late(false, seed));
            assert!(informed > 0.5 * chance, "seed {seed}: mean value {informed} by the search, {chance} by chance");
        }
    }

    #[test]
    fn points_are_in_the_space_and_the_same_for_the_same_seed() {
        for (x, _) in search(true, 3) {
            assert!(x.iter().zip(SPACE).all(|(&v, dimension)| match dimension {
                Dimension::Choice(n) => v.fract() == 0.0 && v < n as f64,
                Dimension::Unit => (0.0..=1.0).contains(&v),
            }));
        }
        assert_eq!(search(true, 3), search(true, 3));
    }

    #[test]
    fn a_density_integrates_to_one() {
        let parzen = Parzen::new(&[0.0, 0.31, 0.3, 0.99]);
        let n = 20_000;
        let sum: f64 = (0..n).map(|i| parzen.density((i as f64 + 0.5) / n as f64)).sum::<f64>() / n as f64;
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    }
}
