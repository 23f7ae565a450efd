//! The formulas of `math` over tiles of a row, in stages: each stage is a short chain of operations,
//! so that the processor works on many entries of it at a time.

use crate::math::{self, Dispersion, Mean, ZeroMixture};
use crate::{simd_fn, wide_fn};

/// Entries handled together; also the number of lanes of a row's sum.
pub const TILE: usize = 256;
/// Counts are handled in multiples of this.
const LANES: usize = 16;

/// Values of the entries of a tile.
pub type Values = [f32; TILE];

/// What to compute. Where neither is set, nothing is.
#[derive(Clone, Copy)]
pub struct Wanted {
    pub value: bool,
    pub gradients: bool,
}

/// [`Dispersion`] by segment and gene, a table per field.
#[derive(Clone, Copy)]
pub struct Dispersions<'a> {
    pub theta: &'a [f32],
    pub inverse: &'a [f32],
    pub error: &'a [f32],
    pub inverse_next: &'a [f32],
    pub digamma_next: &'a [f32],
}

impl<'a> Dispersions<'a> {
    /// Entries `from .. from + len`.
    #[inline(always)]
    pub fn slice(self, from: usize, len: usize) -> Self {
        Dispersions {
            theta: &self.theta[from..][..len],
            inverse: &self.inverse[from..][..len],
            error: &self.error[from..][..len],
            inverse_next: &self.inverse_next[from..][..len],
            digamma_next: &self.digamma_next[from..][..len],
        }
    }

    #[inline(always)]
    fn get(self, g: usize) -> Dispersion {
        Dispersion {
            theta: self.theta[g],
            inverse: self.inverse[g],
            error: self.error[g],
            inverse_next: self.inverse_next[g],
            digamma_next: self.digamma_next[g],
        }
    }
}

simd_fn! {
    /// Fills the five tables, in the order of [`Dispersion`]'s fields.
    pub fn disperse(r: &[f32], tables: [&mut [f32]; 5]) {
        let n = r.len();
        let [theta, inverse, error, inverse_next, digamma_next] = tables.map(|t| &mut t[..n]);
        for g in 0..n {
            let t = Dispersion::new(r[g]);
            theta[g] = t.theta;
            inverse[g] = t.inverse;
            error[g] = t.error;
            inverse_next[g] = t.inverse_next;
            digamma_next[g] = t.digamma_next;
        }
    }
}

/// The inputs of one row of entries, or of a tile of it.
#[derive(Clone, Copy)]
pub struct Entries<'a> {
    pub m: &'a [f32],
    pub r: &'a [f32],
    pub t: Dispersions<'a>,
    /// Empty without inflation.
    pub h: &'a [f32],
}

impl<'a> Entries<'a> {
    /// Entries `from .. from + len`.
    #[inline(always)]
    pub fn slice(self, from: usize, len: usize) -> Self {
        Entries {
            m: &self.m[from..][..len],
            r: &self.r[from..][..len],
            t: self.t.slice(from, len),
            h: if self.h.is_empty() { self.h } else { &self.h[from..][..len] },
        }
    }
}

/// `ln p` and its derivatives, and what one stage hands to the next.
pub struct Tile {
    pub value: Values,
    pub dm: Values,
    pub dr: Values,
    pub dh: Values,
    mu: Values,
    ratio: Values,
    log_ratio: Values,
    a: Values,
    inverse: Values,
    b: Values,
    fall: Values,
    change: Values,
    /// Inputs of counts.
    gathered: Vec<Values>,
}

impl Tile {
    pub fn new() -> Self {
        let zero = [0.0; TILE];
        Tile {
            value: zero,
            dm: zero,
            dr: zero,
            dh: zero,
            mu: zero,
            ratio: zero,
            log_ratio: zero,
            a: zero,
            inverse: zero,
            b: zero,
            fall: zero,
            change: zero,
            gathered: vec![zero; 9],
        }
    }

    /// Of entry `g`, from the stages before.
    #[inline(always)]
    fn mixture(&self, y: f32, h: f32, g: usize) -> ZeroMixture {
        ZeroMixture::from_parts(y, h, self.a[g], self.inverse[g], self.b[g], self.fall[g])
    }
}

simd_fn! {
    fn ratios(at: Entries<'_>, with_mu: bool, tile: &mut Tile) {
        let n = at.m.len().min(TILE);
        let (m, inverse) = (&at.m[..n], &at.t.inverse[..n]);
        if with_mu {
            for g in 0..n {
                let mu = Mean::mu(m[g]);
                tile.mu[g] = mu;
                tile.ratio[g] = Mean::ratio(mu, inverse[g]);
            }
        } else {
            for g in 0..n {
                tile.ratio[g] = Mean::ratio(Mean::mu(m[g]), inverse[g]);
            }
        }
    }
}

simd_fn! {
    fn log_ratios(at: Entries<'_>, tile: &mut Tile) {
        let n = at.m.len().min(TILE);
        let (m, r) = (&at.m[..n], &at.r[..n]);
        for g in 0..n {
            tile.log_ratio[g] = Mean::log_ratio(m[g], r[g], tile.ratio[g]);
        }
    }
}

fn means(at: Entries<'_>, with_mu: bool, tile: &mut Tile) {
    ratios(at, with_mu, tile);
    log_ratios(at, tile);
}

simd_fn! {
    fn inflations(at: Entries<'_>, tile: &mut Tile) {
        let n = at.m.len().min(TILE);
        let h = &at.h[..n];
        for g in 0..n {
            tile.a[g] = ZeroMixture::a(h[g]);
        }
    }
}

simd_fn! {
    fn falls(at: Entries<'_>, tile: &mut Tile) {
        let n = at.m.len().min(TILE);
        let (h, theta) = (&at.h[..n], &at.t.theta[..n]);
        for g in 0..n {
            // A division, which is at work beside the exponential; the next stage has one already.
            tile.inverse[g] = ZeroMixture::inverse(tile.a[g]);
            [tile.b[g], tile.fall[g]] = ZeroMixture::falls(theta[g] * tile.log_ratio[g], h[g]);
        }
    }
}

simd_fn! {
    fn mixtures(at: Entries<'_>, gradients: bool, tile: &mut Tile) {
        let n = at.m.len().min(TILE);
        let (h, theta) = (&at.h[..n], &at.t.theta[..n]);
        if gradients {
            for g in 0..n {
                let y = theta[g] * tile.log_ratio[g];
                let mixture = tile.mixture(y, h[g], g);
                tile.change[g] = mixture.change;
                [tile.dm[g], tile.dr[g], tile.dh[g]] = mixture.slopes(tile.ratio[g], y, theta[g]);
            }
        } else {
            for g in 0..n {
                let y = theta[g] * tile.log_ratio[g];
                tile.change[g] = tile.mixture(y, h[g], g).change;
            }
        }
    }
}

simd_fn! {
    fn mixture_values(at: Entries<'_>, tile: &mut Tile) {
        let n = at.m.len().min(TILE);
        let (h, theta) = (&at.h[..n], &at.t.theta[..n]);
        for g in 0..n {
            tile.value[g] = ZeroMixture::value(theta[g] * tile.log_ratio[g], h[g], tile.change[g]);
        }
    }
}

simd_fn! {
    fn plain_zeros(at: Entries<'_>, tile: &mut Tile) {
        let n = at.m.len().min(TILE);
        let theta = &at.t.theta[..n];
        for g in 0..n {
            let mean = Mean { mu: tile.mu[g], ratio: tile.ratio[g], log_ratio: tile.log_ratio[g] };
            [tile.value[g], tile.dm[g], tile.dr[g]] = math::nb_zero(mean, theta[g]);
        }
    }
}

/// All entries of a tile, as if their counts were 0.
pub fn zeros(at: Entries<'_>, wanted: Wanted, tile: &mut Tile) {
    means(at, false, tile);
    if at.h.is_empty() {
        plain_zeros(at, tile);
        return;
    }
    inflations(at, tile);
    falls(at, tile);
    mixtures(at, wanted.gradients, tile);
    if wanted.value {
        mixture_values(at, tile);
    }
}

simd_fn! {
    fn count_values(x: &[f32], at: Entries<'_>, tile: &mut Tile) {
        let n = x.len().min(TILE);
        let t = at.t.slice(0, n);
        for g in 0..n {
            let mean = Mean { mu: tile.mu[g], ratio: tile.ratio[g], log_ratio: tile.log_ratio[g] };
            tile.value[g] = math::count_value(x[g], mean, t.get(g));
        }
    }
}

simd_fn! {
    fn count_slopes(x: &[f32], at: Entries<'_>, tile: &mut Tile) {
        let n = x.len().min(TILE);
        let t = at.t.slice(0, n);
        for g in 0..n {
            let mean = Mean { mu: tile.mu[g], ratio: tile.ratio[g], log_ratio: tile.log_ratio[g] };
            [tile.dm[g], tile.dr[g]] = math::count_slopes(x[g], mean, t.get(g));
        }
    }
}

simd_fn! {
    fn count_inflations(at: Entries<'_>, tile: &mut Tile) {
        let n = at.h.len().min(TILE);
        for g in 0..n {
            let [loss, share] = math::inflation(at.h[g]);
            tile.value[g] -= loss;
            tile.dh[g] = -share;
        }
    }
}

/// The counts `x` at positions `genes` of a row, at most [`TILE`], gathered into the front of `tile`.
pub fn counts(row: Entries<'_>, wanted: Wanted, genes: &[u32], x: &[f32], tile: &mut Tile) {
    let full = genes.len().next_multiple_of(LANES).min(TILE);
    let inflated = !row.h.is_empty();
    let mut gathered = std::mem::take(&mut tile.gathered);
    gather(row, genes, x, &mut gathered[..]);
    let [x, m, r, theta, inverse, error, inverse_next, digamma_next, h] = &gathered[..] else {
        unreachable!("nine tables")
    };
    let at = Entries {
        m: &m[..full],
        r: &r[..full],
        t: Dispersions { theta, inverse, error, inverse_next, digamma_next }.slice(0, full),
        h: if inflated { &h[..full] } else { &[] },
    };
    means(at, true, tile);
    if wanted.value {
        count_values(&x[..full], at, tile);
    }
    if wanted.gradients {
        count_slopes(&x[..full], at, tile);
    }
    if inflated {
        count_inflations(at, tile);
    }
    tile.gathered = gathered;
}

/// The inputs of single entries, then what fills up a vector.
fn gather(row: Entries<'_>, genes: &[u32], x: &[f32], to: &mut [Values]) {
    let n = row.m.len();
    let full = genes.len().next_multiple_of(LANES).min(TILE);
    for table in to.iter_mut() {
        table[genes.len()..full].fill(1.0);
    }
    let [to_x, m, r, theta, inverse, error, inverse_next, digamma_next, h] = to else { return };
    to_x[..x.len()].copy_from_slice(x);
    // Of one length, so that one comparison serves all.
    let (from_m, from_r, t) = (&row.m[..n], &row.r[..n], row.t.slice(0, n));
    let from_h = if row.h.is_empty() { from_m } else { &row.h[..n] };
    for (l, &g) in genes.iter().enumerate().take(TILE) {
        let g = g as usize;
        assert!(g < n, "a gene of the row");
        m[l] = from_m[g];
        r[l] = from_r[g];
        theta[l] = t.theta[g];
        inverse[l] = t.inverse[g];
        error[l] = t.error[g];
        inverse_next[l] = t.inverse_next[g];
        digamma_next[l] = t.digamma_next[g];
        h[l] = from_h[g];
    }
}

simd_fn! {
    pub fn scaled(out: &mut [f32], x: &[f32], weight: f32) {
        for (o, &x) in out.iter_mut().zip(x) {
            *o = weight * x;
        }
    }
}

simd_fn! {
    pub fn add_scaled(out: &mut [f32], x: &[f32], weight: f32) {
        for (o, &x) in out.iter_mut().zip(x) {
            *o += weight * x;
        }
    }
}

simd_fn! {
    pub fn add(out: &mut [f32], x: &[f32]) {
        for (o, &x) in out.iter_mut().zip(x) {
            *o += x;
        }
    }
}

wide_fn! {
    /// Collects the entries of `x` that are not 0: their positions (taken from `numbers` = 0, 1, ..)
    /// and values. Both lists are at least 16 longer than `x`, which is no longer than `numbers`.
    /// Returns how many there are.
    pub fn compact<V>(x: &[f32], numbers: &[u32], genes: &mut [u32], values: &mut [f32]) -> usize {
        use crate::cpu::wide::{WIDTH, load};
        let numbers: &[f32] = bytemuck::cast_slice(numbers);
        let zero = V::splat(0.0);
        assert!(genes.len() >= x.len() + WIDTH && values.len() >= x.len() + WIDTH);
        let (genes, values) = (genes.as_mut_ptr().cast::<f32>(), values.as_mut_ptr());
        let mut found = 0;
        for from in (0..x.len()).step_by(WIDTH) {
            let count = (x.len() - from).min(WIDTH);
            let some = load::<V>(x, from, count, 0.0);
            let bits = !some.equal(zero) & 0xffff;
            // At most as many as were looked at, so that 16 more fit.
            some.compress(bits, values.add(found));
            load::<V>(numbers, from, count, 0.0).compress(bits, genes.add(found));
            found += bits.count_ones() as usize;
        }
        found
    }
}

/// Combines lanes by halving.
pub fn halve(lanes: &mut [f32]) -> f32 {
    let mut s = lanes.len() / 2;
    while s > 0 {
        for l in 0..s {
            lanes[l] += lanes[l + s];
        }
        s /= 2;
    }
    lanes[0]
}
