//! Local quadratic regression of one variable (Cleveland, Devlin & Grosse 1988).
//!
//! As the original library does by default ("interpolate"), the regression is computed at a few
//! vertices only, with value and slope, and between them the curve is the cubic that has these.
//! Vertices come from halving the points until a cell holds at most `floor(0.2 span n)` of them.

/// Fitted values at each `x`, by tricube-weighted quadratics over the `floor(span n)` nearest points.
///
/// `x` and `y` have the same length and are finite. Agrees with the original library to rounding.
pub fn loess(x: &[f64], y: &[f64], span: f64) -> Vec<f64> {
    let n = x.len();
    if n == 0 {
        return Vec::new();
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| x[a].total_cmp(&x[b]));
    let points: Vec<(f64, f64)> = order.iter().map(|&i| (x[i], y[i])).collect();
    let near = ((n as f64 * span + 1e-5).floor() as usize).clamp(1, n);
    let cell = (n as f64 * span * 0.2).floor() as usize;
    let knots = vertices(&points, cell.max(1));
    let fits: Vec<(f64, f64)> = knots.iter().map(|&at| local_quadratic(&points, at, near, span)).collect();
    let mut fitted = vec![0.0; n];
    let mut left = 0;
    for (&(at, _), &original) in points.iter().zip(&order) {
        while left + 2 < knots.len() && at > knots[left + 1] {
            left += 1;
        }
        let width = knots[left + 1] - knots[left];
        let h = (at - knots[left]) / width;
        let ((value0, slope0), (value1, slope1)) = (fits[left], fits[left + 1]);
        let g = 1.0 - h;
        fitted[original] = g * g * (1.0 + 2.0 * h) * value0
            + h * h * (3.0 - 2.0 * h) * value1
            + (h * g * g * slope0 - h * h * g * slope1) * width;
    }
    fitted
}

/// Ends a little outside the data, and the cuts between cells, ascending.
fn vertices(points: &[(f64, f64)], cell: usize) -> Vec<f64> {
    let (first, last) = (points[0].0, points[points.len() - 1].0);
    let margin = 0.005 * (last - first).max(first.abs().max(last.abs()) * 1e-3 + 1e-30);
    let (low, high) = (first - margin, last + margin);
    let mut knots = vec![low, high];
    let mut cells = vec![(0, points.len(), low, high)]; // points start..end between two knots
    while let Some((start, end, left, right)) = cells.pop() {
        if end - start <= cell {
            continue;
        }
        let cut = untied_middle(points, start, end);
        let at = points[cut].0;
        if at == left || at == right {
            continue;
        }
        knots.push(at);
        cells.push((start, cut + 1, left, at));
        cells.push((cut + 1, end, at, right));
    }
    knots.sort_by(f64::total_cmp);
    knots.dedup();
    knots
}

/// The position nearest to the middle of `start..end` whose successor has another x (looking
/// right, then left, ever farther), or the middle itself where none has.
fn untied_middle(points: &[(f64, f64)], start: usize, end: usize) -> usize {
    let middle = (start + end - 1) / 2;
    let mut offset = 0isize;
    loop {
        let at = middle as isize + offset;
        if at + 1 >= end as isize || at < start as isize {
            return middle;
        }
        if points[at as usize].0 != points[at as usize + 1].0 {
            return at as usize;
        }
        offset = if offset > 0 { -offset } else { 1 - offset };
    }
}

/// Value and slope at `at` of the weighted quadratic through the `near` nearest points.
fn local_quadratic(points: &[(f64, f64)], at: f64, near: usize, span: f64) -> (f64, f64) {
    // The nearest points of sorted x are a window: slide it right while that brings it closer.
    let mut start = points.partition_point(|p| p.0 < at).saturating_sub(near).min(points.len() - near);
    while start + near < points.len() && points[start + near].0 - at < at - points[start].0 {
        start += 1;
    }
    let window = &points[start..start + near];
    let farthest = (at - window[0].0).abs().max((window[near - 1].0 - at).abs());
    let bandwidth = farthest * span.max(1.0);
    // Columns 1, u, u^2 of u = (x - at) / bandwidth and y, each times the root of the weight.
    let mut columns: [Vec<f64>; 4] = Default::default();
    for &(x, y) in points {
        let u = if bandwidth > 0.0 { (x - at) / bandwidth } else { 0.0 };
        let distance = (x - at).abs();
        if distance < bandwidth || (bandwidth == 0.0 && distance == 0.0) {
            let w = (1.0 - (u * u * u).abs()).powi(3).sqrt();
            [w, w * u, w * u * u, w * y].into_iter().zip(&mut columns).for_each(|(v, column)| column.push(v));
        }
    }
    if columns[0].is_empty() {
        // Every near point is equally far away: nothing tells them apart.
        return (window.iter().map(|p| p.1).sum::<f64>() / near as f64, 0.0);
    }
    let [c0, c1, _] = least_squares(columns);
    (c0, if bandwidth > 0.0 { c1 / bandwidth } else { 0.0 })
}

/// Coefficients of the first three columns that best give the fourth, by Gram-Schmidt; a column
/// that depends on those before it gets 0.
fn least_squares(mut columns: [Vec<f64>; 4]) -> [f64; 3] {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let mut upper = [[0f64; 4]; 3];
    for k in 0..3 {
        let before = dot(&columns[k], &columns[k]);
        for _twice in 0..2 {
            for j in 0..k {
                if upper[j][j] > 0.0 {
                    let share = dot(&columns[j], &columns[k]);
                    upper[j][k] += share;
                    let (done, rest) = columns.split_at_mut(k);
                    rest[0].iter_mut().zip(&done[j]).for_each(|(v, q)| *v -= share * q);
                }
            }
        }
        let norm = dot(&columns[k], &columns[k]);
        if norm > 1e-20 * before && norm > 0.0 {
            upper[k][k] = norm.sqrt();
            columns[k].iter_mut().for_each(|v| *v /= norm.sqrt());
        }
    }
    for (k, row) in upper.iter_mut().enumerate() {
        if row[k] > 0.0 {
            row[3] = dot(&columns[k], &columns[3]);
            let (done, rest) = columns.split_at_mut(3);
            rest[0].iter_mut().zip(&done[k]).for_each(|(v, q)| *v -= row[3] * q);
        }
    }
    let mut solution = [0f64; 3];
    for k in (0..3).rev() {
        if upper[k][k] > 0.0 {
            let known: f64 = (k + 1..3).map(|j| upper[k][j] * solution[j]).sum();
            solution[k] = (upper[k][3] - known) / upper[k][k];
        }
    }
    solution
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parabola_is_fitted_exactly() {
        let x: Vec<f64> = (0..60).map(|i| f64::from(i * i % 61) / 7.0).collect();
        let y: Vec<f64> = x.iter().map(|v| 1.0 - 2.0 * v + 0.5 * v * v).collect();
        // Between vertices the curve is a cubic with the parabola's values and slopes: the parabola.
        for (found, expected) in loess(&x, &y, 0.3).iter().zip(&y) {
            assert!((found - expected).abs() < 1e-9, "{found} is {expected}");
        }
    }

    #[test]
    fn ties_and_tiny_inputs_stay_finite() {
        assert_eq!(loess(&[], &[], 0.3), Vec::<f64>::new());
        assert_eq!(loess(&[1.0], &[5.0], 0.3), [5.0]);
        let fitted = loess(&[2.0; 8], &[1., 2., 3., 4., 5., 6., 7., 8.], 0.5);
        assert!(fitted.iter().all(|v| v.is_finite()));
        let fitted = loess(&[1., 1., 1., 2., 2., 2.], &[0., 1., 2., 5., 6., 7.], 1.0);
        assert!((fitted[0] - 1.0).abs() < 1e-6 && (fitted[5] - 6.0).abs() < 1e-6);
    }
}
