//! Addresses, conversions and moments. Every bound on a moment is six standard errors.

use super::*;

const N: u32 = 1 << 20;

fn moments(values: impl Iterator<Item = f64> + Clone) -> (f64, f64, f64, f64) {
    let n = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / n;
    let central = |p: i32| values.clone().map(|v| (v - mean).powi(p)).sum::<f64>() / n;
    let var = central(2);
    (mean, var, central(3) / var.powf(1.5), central(4) / (var * var))
}

/// Fails unless the mean and variance of `draws` are those asked for, given the fourth moment.
fn check(what: &str, draws: &[f64], mean: f64, var: f64) {
    let (m, v, _, kurtosis) = moments(draws.iter().copied());
    let n = draws.len() as f64;
    assert!((m - mean).abs() < 6.0 * (var / n).sqrt(), "{what}: mean {m}, not {mean}");
    assert!((v - var).abs() < 6.0 * var * ((kurtosis - 1.0) / n).sqrt(), "{what}: variance {v}, not {var}");
}

#[test]
fn an_element_depends_on_its_address_alone() {
    let s = Stream::new(0x0123_4567_89ab_cdef, stream::SGLD).at(7).part(3);
    for i in [0, 1, 2, 3, 4, 1001, u32::MAX] {
        let words = philox([i / 4, 3, 7, stream::SGLD], [0x89ab_cdef, 0x0123_4567]);
        assert_eq!(s.word(i), words[(i % 4) as usize]);
        assert_eq!(s.normal(i).to_bits(), s.normal4(i / 4)[(i % 4) as usize].to_bits());
        assert_eq!(s.uniform(i), s.uniform4(i / 4)[(i % 4) as usize]);
    }
    for other in [s.at(8), s.part(4), Stream { stream: stream::INIT, ..s }, Stream { seed: 1, ..s }] {
        assert_ne!(other.words4(0), s.words4(0));
    }
}

#[test]
fn normals_have_normal_moments_and_tails() {
    let s = Stream::new(11, stream::TEST);
    let draws: Vec<f64> = (0..N / 4).flat_map(|b| s.normal4(b)).map(f64::from).collect();
    let (mean, var, skew, kurtosis) = moments(draws.iter().copied());
    let n = f64::from(N);
    assert!(mean.abs() < 6.0 * (1.0 / n).sqrt(), "mean {mean}");
    assert!((var - 1.0).abs() < 6.0 * (2.0 / n).sqrt(), "variance {var}");
    assert!(skew.abs() < 6.0 * (6.0 / n).sqrt(), "skewness {skew}");
    assert!((kurtosis - 3.0).abs() < 6.0 * (24.0 / n).sqrt(), "kurtosis {kurtosis}");
    for (limit, tail) in [(1.0, 0.317_310_5), (2.0, 0.045_500_26), (3.0, 0.002_699_796), (4.0, 6.334_248e-5)] {
        let share = draws.iter().filter(|z| z.abs() > limit).count() as f64 / n;
        assert!((share - tail).abs() < 6.0 * (tail / n).sqrt(), "beyond {limit}: {share}, not {tail}");
    }
    assert!(draws.iter().all(|z| z.abs() < 5.8));
}

#[test]
fn normals_of_a_block_and_of_neighbours_are_uncorrelated() {
    let s = Stream::new(12, stream::TEST);
    let draws: Vec<f64> = (0..N / 4).flat_map(|b| s.normal4(b)).map(f64::from).collect();
    for lag in 1..8 {
        let sum: f64 = draws.iter().zip(&draws[lag..]).map(|(a, b)| a * b).sum();
        let r = sum / (draws.len() - lag) as f64;
        assert!(r.abs() < 6.0 / f64::from(N).sqrt(), "lag {lag}: {r}");
    }
}

#[test]
fn uniforms_fill_their_cells_evenly() {
    let s = Stream::new(13, stream::TEST);
    let mut cells = [0u32; 256];
    for b in 0..N / 4 {
        for u in s.uniform4(b) {
            assert!((0.0..1.0).contains(&u));
            cells[(u * 256.0) as usize] += 1;
        }
    }
    let expected = f64::from(N) / 256.0;
    let chi2: f64 = cells.iter().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum();
    assert!((chi2 - 255.0).abs() < 6.0 * (2.0f64 * 255.0).sqrt(), "chi-squared {chi2}");
    assert_eq!(uniform_from(u32::MAX), 1.0 - 2f32.powi(-24));
    assert_eq!(uniform_open0_from(0), 2f32.powi(-24));
    assert_eq!(uniform_open0_from(u32::MAX), 1.0);
}

#[test]
fn host_reader_follows_the_stream() {
    let s = Stream::new(3, stream::TEST);
    let mut rng = s.rng();
    for i in 0..10 {
        assert_eq!(rng.word(), s.word(i));
    }
}

#[test]
fn host_distributions_have_their_moments() {
    let mut rng = Stream::new(21, stream::SIMULATE).rng();
    let n = 200_000;
    let mut draw = |f: &mut dyn FnMut(&mut Rng) -> f64| -> Vec<f64> { (0..n).map(|_| f(&mut rng)).collect() };
    check("normal", &draw(&mut |r| r.normal()), 0.0, 1.0);
    check("exponential", &draw(&mut |r| r.exponential()), 1.0, 1.0);
    for shape in [0.1, 0.7, 1.0, 2.5, 40.0] {
        check("gamma", &draw(&mut |r| r.gamma(shape)), shape, shape);
    }
    for mean in [0.05, 1.0, 9.5, 10.5, 60.0, 5000.0] {
        check("poisson", &draw(&mut |r| r.poisson(mean) as f64), mean, mean);
    }
    let (a, b) = (2.0, 5.0);
    check("beta", &draw(&mut |r| r.beta(a, b)), a / (a + b), a * b / ((a + b) * (a + b) * (a + b + 1.0)));
    let (mu, theta) = (4.0, 2.0);
    check("nb", &draw(&mut |r| r.negative_binomial(mu, theta) as f64), mu, mu + mu * mu / theta);
    check("below", &draw(&mut |r| f64::from(r.below(10))), 4.5, 8.25);
    check("categorical", &draw(&mut |r| r.categorical(&[1.0, 0.0, 3.0]) as f64), 1.5, 0.75);
}

#[test]
fn poisson_by_rejection_has_the_right_probabilities() {
    let mut rng = Stream::new(22, stream::SIMULATE).rng();
    let (n, mean) = (400_000, 12.0f64);
    let mut counts = [0u32; 40];
    for _ in 0..n {
        counts[(rng.poisson(mean) as usize).min(39)] += 1;
    }
    for (k, &count) in counts.iter().enumerate().take(30) {
        let p = (k as f64 * mean.ln() - mean - crate::math::wide::lgamma(k as f64 + 1.0)).exp();
        let share = f64::from(count) / f64::from(n);
        assert!((share - p).abs() < 6.0 * (p / f64::from(n)).sqrt() + 1e-5, "P({k}): {share}, not {p}");
    }
}

#[test]
fn permutations_hold_every_number_once_and_all_orders_alike() {
    let mut rng = Stream::new(23, stream::ORDER_X).rng();
    let mut sorted = rng.permutation(1000);
    sorted.sort_unstable();
    assert!(sorted.iter().copied().eq(0..1000));
    let mut seen = [0u32; 6];
    for _ in 0..60_000 {
        let p = rng.permutation(3);
        seen[(p[0] * 2 + u32::from(p[1] > p[2])) as usize] += 1;
    }
    assert!(seen.iter().all(|&c| (f64::from(c) - 10_000.0).abs() < 600.0), "{seen:?}");
    let picked = rng.sample_without_replacement(50, 20);
    let mut unique = picked.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!((picked.len(), unique.len()), (20, 20));
    assert_eq!(rng.sample_without_replacement(3, 9).len(), 3);
    assert!(rng.permutation(0).is_empty());
}

#[test]
fn dirichlet_proportions_sum_to_one() {
    let mut rng = Stream::new(24, stream::SIMULATE).rng();
    for alpha in [[1e-320, 1e-320, 0.0], [0.01, 0.01, 0.01], [1.5, 1.5, 1.5], [100.0, 1.0, 0.0]] {
        let p = rng.dirichlet(&alpha);
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{alpha:?}: {p:?}");
        assert!(p.iter().all(|&v| v >= 0.0));
    }
}
