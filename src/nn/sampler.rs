//! Stochastic gradient Langevin dynamics with a replay buffer (CLAMS spec, section 3).

use crate::device::{Device, Storage};
use crate::error::{Error, Result};
use crate::kernel::Kernel;
use crate::kernel::gather::{RowsParams, SCATTER_ROWS};
use crate::kernel::random::{NORMAL, RandomParams, UNIFORM};
use crate::kernel::sgld::{CLAMP_BOX, CLAMP_GRADIENT, STEP, SgldParams};
use crate::rng::Stream;
use crate::tensor::{Dtype, Tensor, grad};

/// Numbers of one random launch for `out`.
pub(crate) fn random_params(draws: Stream, n: usize, a: f32, b: f32, c: f32) -> RandomParams {
    RandomParams {
        seed: draws.key(),
        stream: draws.stream,
        step: draws.step,
        part: draws.part,
        offset: 0,
        n: n as u32,
        a,
        b,
        c,
    }
}

/// Fills a fresh contiguous tensor from a random kernel.
pub(crate) fn random(
    kernel: &'static Kernel,
    params: &RandomParams,
    shape: &[usize],
    device: &Device,
) -> Result<Tensor> {
    let out = Tensor::uninit("random", shape, Dtype::F32, device)?;
    let counter = device.counter()?;
    device.launch(kernel, params, &[&counter, out.storage()], [params.n.div_ceil(4), 1, 1])?;
    Ok(out)
}

/// Uniform numbers in [low, high).
pub fn uniform(draws: Stream, low: f32, high: f32, shape: &[usize], device: &Device) -> Result<Tensor> {
    let n = shape.iter().product();
    random(&UNIFORM, &random_params(draws, n, low, high, 0.0), shape, device)
}

/// Normal numbers.
pub fn normal(draws: Stream, mean: f32, std: f32, shape: &[usize], device: &Device) -> Result<Tensor> {
    let n = shape.iter().product();
    random(&NORMAL, &random_params(draws, n, mean, std, 0.0), shape, device)
}

/// Overwrites the rows `index` (u32 `[m]`, no index twice) of `table` `[n, d]`, a whole contiguous
/// tensor, with those of `x` `[m, d]`, in place.
pub(crate) fn overwrite_rows(table: &Tensor, index: &Tensor, x: &Tensor) -> Result<()> {
    let x = x.contiguous()?;
    let params = RowsParams {
        x_offset: x.offset() as u32,
        index_offset: index.offset() as u32,
        n_rows: table.size(0) as u32,
        width: table.size(1) as u32,
        m: index.numel() as u32,
    };
    let buffers: [&Storage; 3] = [x.storage(), index.storage(), table.storage()];
    table.device().launch(&SCATTER_ROWS, &params, &buffers, [x.numel() as u32, 1, 1])
}

/// Langevin dynamics `x <- x + alpha grad log p(x) + sigma eps`, optionally clamped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgld {
    /// Steps of a chain.
    pub steps: usize,
    /// Step size on the gradient.
    pub alpha: f32,
    /// Standard deviation of the noise.
    pub sigma: f32,
    /// Largest absolute gradient entry.
    pub grad_clamp: Option<f32>,
    /// Box that x stays in.
    pub range: Option<(f32, f32)>,
}

impl Sgld {
    /// Runs the chains from `start` `[chains, d]`; `score(x)` is the summed log density whose
    /// gradient drives them. Parameters take no gradient and nothing stays on the tape. Step k draws
    /// from part k of `draws`.
    pub fn run(&self, start: &Tensor, draws: Stream, score: &dyn Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let x = start.detach().copy()?;
        let counter = x.device().counter()?;
        let device = x.device();
        let flags = if self.grad_clamp.is_some() { CLAMP_GRADIENT } else { 0 }
            | if self.range.is_some() { CLAMP_BOX } else { 0 };
        let (low, high) = self.range.unwrap_or((0.0, 0.0));
        for k in 0..self.steps {
            let variable = x.variable();
            let g = grad(&[&score(&variable)?], &[&variable], false)?.remove(0).contiguous()?;
            let params = SgldParams {
                seed: draws.key(),
                stream: draws.stream,
                step: draws.step,
                part: k as u32,
                n: x.numel() as u32,
                g_offset: g.offset() as u32,
                x_offset: x.offset() as u32,
                flags,
                alpha: self.alpha,
                sigma: self.sigma,
                g_max: self.grad_clamp.unwrap_or(0.0),
                low,
                high,
            };
            device.launch(
                &STEP,
                &params,
                &[g.storage(), &counter, x.storage()],
                [(x.numel() as u32).div_ceil(4), 1, 1],
            )?;
        }
        Ok(x)
    }
}

/// Chains kept between iterations, `[slots, d]`, in segments per class (one segment if classes do
/// not matter).
pub struct ReplayBuffer {
    slots: Tensor,
    /// First slot of each class, and the end.
    offsets: Vec<usize>,
}

/// How many slots each class gets: balanced (the remainder to the first classes), or by training
/// frequency with largest remainders and at least one each (spec sections 3 and 4, App. A.3).
pub fn segments(slots: usize, class_counts: &[usize], balanced: bool) -> Result<Vec<usize>> {
    let classes = class_counts.len();
    if classes == 0 || slots < classes {
        return Err(Error::Argument {
            op: "buffer",
            what: format!("{slots} slots for {classes} classes; use a larger buffer"),
        });
    }
    if balanced {
        return Ok((0..classes).map(|c| slots / classes + usize::from(c < slots % classes)).collect());
    }
    let total: usize = class_counts.iter().sum();
    let share = |c: usize| slots as u128 * class_counts[c] as u128;
    let mut sizes: Vec<usize> = (0..classes).map(|c| (share(c) / total.max(1) as u128) as usize).collect();
    let mut order: Vec<usize> = (0..classes).collect();
    order.sort_by_key(|&c| (std::cmp::Reverse(share(c) % total.max(1) as u128), c));
    let left = slots - sizes.iter().sum::<usize>();
    for &c in order.iter().cycle().take(left) {
        sizes[c] += 1;
    }
    // Every class keeps a slot; the largest gives it.
    while let Some(empty) = sizes.iter().position(|&s| s == 0) {
        let largest = (0..classes).max_by_key(|&c| (sizes[c], std::cmp::Reverse(c))).unwrap_or(0);
        sizes[largest] -= 1;
        sizes[empty] += 1;
    }
    Ok(sizes)
}

impl ReplayBuffer {
    /// Slots with first content, all in one segment.
    pub fn new(slots: Tensor) -> Self {
        let n = slots.size(0);
        ReplayBuffer { slots, offsets: vec![0, n] }
    }

    /// Slots in segments of the given sizes.
    pub fn with_segments(slots: Tensor, sizes: &[usize]) -> Result<Self> {
        let mut offsets = vec![0];
        for size in sizes {
            offsets.push(offsets[offsets.len() - 1] + size);
        }
        if offsets[sizes.len()] != slots.size(0) {
            return Err(Error::Shape {
                op: "buffer",
                expected: format!("segments of {} slots together", slots.size(0)),
                found: format!("{}", offsets[sizes.len()]),
            });
        }
        Ok(ReplayBuffer { slots, offsets })
    }

    /// All slots, `[slots, d]`.
    pub fn slots(&self) -> &Tensor {
        &self.slots
    }

    /// Number of slots.
    pub fn len(&self) -> usize {
        self.slots.size(0)
    }

    /// Whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// First slot of each class, and the end.
    pub fn offsets(&self) -> &[usize] {
        &self.offsets
    }

    /// `b` different slots, uniform over the buffer.
    pub fn draw(&self, b: usize, draws: Stream) -> Vec<u32> {
        draws.rng().sample_without_replacement(self.len(), b.min(self.len()))
    }

    /// For each entry of `classes` a slot of its segment, no slot twice (a class asked for more
    /// often than it has slots gets what it has, in order, again from the start only then).
    pub fn draw_in_classes(&self, classes: &[u32], draws: Stream) -> Vec<u32> {
        let mut rng = draws.rng();
        let mut orders: Vec<Option<Vec<u32>>> = vec![None; self.offsets.len() - 1];
        let mut used = vec![0usize; orders.len()];
        let mut slots = Vec::with_capacity(classes.len());
        for &class in classes {
            let c = class as usize;
            let size = self.offsets[c + 1] - self.offsets[c];
            let order = orders[c].get_or_insert_with(|| rng.permutation(size));
            slots.push(self.offsets[c] as u32 + order[used[c] % size]);
            used[c] += 1;
        }
        slots
    }

    /// The rows of `idx`.
    pub fn read(&self, idx: &[u32]) -> Result<Tensor> {
        self.slots.index_select(&Tensor::from_u32(idx, &[idx.len()], self.slots.device())?)
    }

    /// Overwrites the rows of `idx` (no index twice) with those of `x`.
    pub fn write(&self, idx: &[u32], x: &Tensor) -> Result<()> {
        overwrite_rows(&self.slots, &Tensor::from_u32(idx, &[idx.len()], self.slots.device())?, x)
    }

    /// Overwrites every slot.
    pub fn load(&self, values: &[f32]) -> Result<()> {
        self.slots.overwrite(values)
    }
}
