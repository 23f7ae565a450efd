//! Sequential random numbers for host code: the words of one [`Stream`] in order.
//!
//! The distributions compute in binary64 with [`crate::math::wide`], not with the platform's
//! functions, so a simulated data set is the same on every machine.

use super::Stream;
use crate::math::wide;

/// Reads the words of a stream one after the other. Cloning forks the position.
#[derive(Clone, Debug)]
pub struct Rng {
    stream: Stream,
    block: u32,
    words: [u32; 4],
    used: usize,
    /// The second normal number of a pair, not yet asked for.
    spare: Option<f64>,
}

impl Rng {
    /// At the stream's first number.
    pub fn new(stream: Stream) -> Self {
        Rng { stream, block: 0, words: [0; 4], used: 4, spare: None }
    }

    /// The next 32-bit word. After 2^34 words the reader goes on in the next part.
    pub fn word(&mut self) -> u32 {
        if self.used == 4 {
            self.words = self.stream.words4(self.block);
            self.block = self.block.wrapping_add(1);
            if self.block == 0 {
                self.stream.part = self.stream.part.wrapping_add(1);
            }
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// Uniform in [0, 1), 24 bits.
    pub fn uniform(&mut self) -> f32 {
        super::uniform_from(self.word())
    }

    /// Uniform in [0, 1), 53 bits of two words.
    pub fn uniform53(&mut self) -> f64 {
        let a = self.word();
        super::uniform53_from(a, self.word())
    }

    /// A whole number in `0..n` by multiply and shift: `floor(w n / 2^32)`. The chance of a value
    /// is off by less than n / 2^32 of itself. `n = 0` gives 0.
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.word()) * u64::from(n)) >> 32) as u32
    }

    /// Shuffles in place (Fisher-Yates, from the end).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(u32::try_from(i + 1).unwrap_or(u32::MAX)) as usize;
            items.swap(i, j);
        }
    }

    /// The numbers `0..n` in random order.
    pub fn permutation(&mut self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        self.shuffle(&mut order);
        order
    }

    /// `min(k, n)` different numbers of `0..n`, in the order drawn.
    pub fn sample_without_replacement(&mut self, n: usize, k: usize) -> Vec<u32> {
        let k = k.min(n);
        let mut pool: Vec<u32> = (0..n as u32).collect();
        for i in 0..k {
            let j = i + self.below((n - i) as u32) as usize;
            pool.swap(i, j);
        }
        pool.truncate(k);
        pool
    }

    /// Standard normal (Box-Muller on 53-bit uniforms).
    pub fn normal(&mut self) -> f64 {
        if let Some(z) = self.spare.take() {
            return z;
        }
        let r = (-2.0 * wide::ln(1.0 - self.uniform53())).sqrt();
        let (s, c) = wide::sincos_2pi(self.uniform53());
        self.spare = Some(r * s);
        r * c
    }

    /// Exponential with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -wide::ln(1.0 - self.uniform53())
    }

    /// Gamma with the given shape and scale 1 (Marsaglia and Tsang 2000, doi:10.1145/358407.358414);
    /// a shape below 1 is reached from `shape + 1` by a power of a uniform. 0 for a shape of 0.
    pub fn gamma(&mut self, shape: f64) -> f64 {
        if shape.is_nan() || shape <= 0.0 {
            return 0.0;
        }
        if shape < 1.0 {
            let g = self.gamma(shape + 1.0);
            return g * wide::exp(wide::ln(1.0 - self.uniform53()) / shape);
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let z = self.normal();
            let t = 1.0 + c * z;
            if t <= 0.0 {
                continue;
            }
            let v = t * t * t;
            if wide::ln(1.0 - self.uniform53()) < 0.5 * z * z + d - d * v + d * wide::ln(v) {
                return d * v;
            }
        }
    }

    /// Beta.
    pub fn beta(&mut self, a: f64, b: f64) -> f64 {
        let (x, y) = (self.gamma(a), self.gamma(b));
        if x + y > 0.0 { x / (x + y) } else { f64::from(self.uniform() < (a / (a + b)) as f32) }
    }

    /// Dirichlet: proportions that sum to 1, one per entry of `alpha`.
    pub fn dirichlet(&mut self, alpha: &[f64]) -> Vec<f64> {
        let draws: Vec<f64> = alpha.iter().map(|&a| self.gamma(a)).collect();
        let total: f64 = draws.iter().sum();
        if total > 0.0 {
            return draws.iter().map(|g| g / total).collect();
        }
        // All underflowed: with such small weights one entry has everything.
        let sum: f64 = alpha.iter().sum();
        let mut left = self.uniform53() * sum;
        let chosen = alpha.iter().position(|&a| {
            left -= a;
            left < 0.0
        });
        let chosen = chosen.unwrap_or(alpha.len().saturating_sub(1));
        (0..alpha.len()).map(|i| f64::from(u8::from(i == chosen))).collect()
    }

    /// Poisson. Below a mean of 10 by multiplying uniforms (Knuth), above by transformed rejection
    /// (Hormann 1993, PTRS, doi:10.1016/0167-6687(93)90997-4). 0 for a mean that is not positive.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        if mean.is_nan() || mean <= 0.0 {
            return 0;
        }
        if mean < 10.0 {
            let floor = wide::exp(-mean);
            let (mut product, mut k) = (self.uniform53(), 0);
            while product > floor {
                product *= self.uniform53();
                k += 1;
            }
            return k;
        }
        let (root, log_mean) = (mean.sqrt(), wide::ln(mean));
        let b = 0.931 + 2.53 * root;
        let a = -0.059 + 0.02483 * b;
        let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
        let v_r = 0.9277 - 3.6224 / (b - 2.0);
        loop {
            let u = self.uniform53() - 0.5;
            let v = 1.0 - self.uniform53();
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b) * u + mean + 0.43).floor();
            if us >= 0.07 && v <= v_r {
                return k as u64;
            }
            if k < 0.0 || (us < 0.013 && v > us) {
                continue;
            }
            let left = wide::ln(v) + wide::ln(inverse_alpha) - wide::ln(a / (us * us) + b);
            if left <= -mean + k * log_mean - wide::lgamma(k + 1.0) {
                return k as u64;
            }
        }
    }

    /// Negative binomial counts with mean `mu` and inverse dispersion `theta`: Poisson of a gamma.
    pub fn negative_binomial(&mut self, mu: f64, theta: f64) -> u64 {
        let rate = self.gamma(theta) * mu / theta;
        self.poisson(rate)
    }

    /// An index with probability proportional to its weight; 0 if none is positive.
    pub fn categorical(&mut self, weights: &[f64]) -> usize {
        let total: f64 = weights.iter().sum();
        let mut left = self.uniform53() * total;
        for (i, &w) in weights.iter().enumerate() {
            left -= w;
            if left < 0.0 {
                return i;
            }
        }
        weights.iter().rposition(|&w| w > 0.0).unwrap_or(0)
    }
}
