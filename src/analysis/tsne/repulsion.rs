//! What pushes points of the plane apart: `sum_j q_ij^2 (y_i - y_j)` with `q_ij = 1/(1 + |y_i - y_j|^2)`.

use super::tree::Tree;
use rayon::prelude::*;

/// Sums that run beside each other.
const LANES: usize = 8;

/// Forces before normalisation, and what normalises them.
pub(super) struct Repulsion {
    /// `[n, 2]`
    pub force: Vec<f64>,
    /// `sum of q_ij over i != j`
    pub z: f64,
}

/// Of the points `y` `[n, 2]`; over all pairs if theta is 0.
pub(super) fn repulsion(y: &[f64], theta: f64) -> Repulsion {
    let n = y.len() / 2;
    let sums: Vec<[f64; 3]> = if theta == 0.0 {
        let (xs, ys) = (column(y, 0), column(y, 1));
        (0..n).into_par_iter().map(|i| all_pairs(&xs, &ys, xs[i], ys[i])).collect()
    } else {
        let tree = Tree::new(y);
        // In the order of the tree, neighbours after each other: they read the same nodes.
        let sorted: Vec<[f64; 3]> = (0..n).into_par_iter().map(|at| tree.push(at, theta)).collect();
        let mut sums = vec![[0.0; 3]; n];
        tree.order().iter().zip(sorted).for_each(|(&i, sum)| sums[i as usize] = sum);
        sums
    };
    // Every point met itself once, with q = 1.
    let z: f64 = sums.iter().map(|s| s[2] - 1.0).sum();
    // Points so far apart that nothing is left of q would divide by zero.
    Repulsion { force: sums.iter().flat_map(|s| [s[0], s[1]]).collect(), z: z.max(f64::MIN_POSITIVE) }
}

fn column(y: &[f64], c: usize) -> Vec<f64> {
    y.iter().skip(c).step_by(2).copied().collect()
}

/// Force on the place (x, y) and the sum of q.
fn all_pairs(xs: &[f64], ys: &[f64], x: f64, y: f64) -> [f64; 3] {
    let (mut fx, mut fy, mut z) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    let mut add = |l: usize, other_x: f64, other_y: f64| {
        let (dx, dy) = (x - other_x, y - other_y);
        let q = 1.0 / (1.0 + dx * dx + dy * dy);
        z[l] += q;
        fx[l] += q * q * dx;
        fy[l] += q * q * dy;
    };
    let (left, right) = (xs.chunks_exact(LANES), ys.chunks_exact(LANES));
    let tail = left.remainder().iter().zip(right.remainder()).enumerate();
    for (a, b) in left.zip(right) {
        for l in 0..LANES {
            add(l, a[l], b[l]);
        }
    }
    tail.for_each(|(l, (&a, &b))| add(l, a, b));
    [fx.iter().sum(), fy.iter().sum(), z.iter().sum()]
}
