//! Sampling from the model: Langevin chains on the score, replay buffer, class-conditional mode.

use super::config::SgldConfig;
use super::network::Network;
use crate::device::Device;
use crate::error::Result;
use crate::nn::sampler::{segments, uniform};
use crate::nn::{Chain, Mode, ReplayBuffer, Sgld};
use crate::rng::{Stream, stream};
use crate::tensor::Tensor;

/// The sampler of one run (CLAMS specification, section 3).
pub struct Sampler {
    config: SgldConfig,
    buffer: ReplayBuffer,
    /// Cumulative class probabilities of the conditional mode.
    class_shares: Vec<f64>,
    seed: u64,
    /// The chains of an iteration, and the classes that they are for.
    chain: Option<(Chain, Option<Tensor>)>,
}

impl Sampler {
    /// A buffer of fresh draws from `p0`; `class_counts` are the training cells of each class.
    pub fn new(
        config: &SgldConfig,
        features: usize,
        class_counts: &[usize],
        seed: u64,
        device: &Device,
    ) -> Result<Sampler> {
        let start = Stream::new(seed, stream::BUFFER);
        let slots = uniform(start, -config.p0, config.p0, &[config.buffer, features], device)?;
        let classes = class_counts.len();
        let total = class_counts.iter().sum::<usize>().max(1) as f64;
        let share = |c: usize| if config.balanced { 1.0 / classes as f64 } else { class_counts[c] as f64 / total };
        let mut sum = 0.0;
        let class_shares = (0..classes)
            .map(|c| {
                sum += share(c);
                sum
            })
            .collect();
        let buffer = match config.conditional {
            true => ReplayBuffer::with_segments(slots, &segments(config.buffer, class_counts, config.balanced)?)?,
            false => ReplayBuffer::new(slots),
        };
        Ok(Sampler { config: config.clone(), buffer, class_shares, seed, chain: None })
    }

    /// The replay buffer.
    pub fn buffer(&self) -> &ReplayBuffer {
        &self.buffer
    }

    /// Classes of `n` chains in iteration `t` of the conditional mode.
    pub fn draw_classes(&self, n: usize, t: u32) -> Vec<u32> {
        let mut rng = Stream::new(self.seed, stream::BUFFER).at(t).part(2).rng();
        let last = self.class_shares.len() as u32 - 1;
        (0..n)
            .map(|_| {
                let u = rng.uniform53();
                (self.class_shares.iter().position(|&s| u < s).unwrap_or(last as usize) as u32).min(last)
            })
            .collect()
    }

    /// The slots of `n` chains in iteration `t` of the unconditional mode.
    pub fn slots_of(&self, n: usize, t: u32) -> Vec<u32> {
        // Part 0 of step 0 made the buffer; parts 1 to 4 are the draws of an iteration.
        self.buffer.draw(n, Stream::new(self.seed, stream::BUFFER).at(t).part(1))
    }

    /// One round for iteration `t`: slots drawn, some started afresh, chains run with frozen
    /// parameters in evaluation mode, written back. Returns the cells `[n, features]` and how many
    /// started afresh.
    pub fn sample(&mut self, network: &Network, n: usize, t: u32) -> Result<(Tensor, usize)> {
        let draws = Stream::new(self.seed, stream::BUFFER).at(t);
        let n = n.min(self.buffer.len());
        let classes = self.config.conditional.then(|| self.draw_classes(n, t));
        let idx = match &classes {
            Some(classes) => self.buffer.draw_in_classes(classes, draws.part(1)),
            None => self.slots_of(n, t),
        };
        let fresh: Vec<f32> = {
            let u = draws.part(3);
            (0..n as u32).map(|i| if u.uniform(i) < self.config.reinit { 1.0 } else { 0.0 }).collect()
        };
        let started = fresh.iter().filter(|&&f| f != 0.0).count();
        let device = network.params().arena().device();
        let kept = self.buffer.read(&idx)?;
        let start = match started {
            0 => kept,
            _ => {
                let new = self.start(network, n, classes.as_deref(), draws.part(4))?;
                Tensor::from_slice(&fresh, &[n, 1], device)?.select(&new, &kept)?
            }
        };
        let x = self.iterate(network, &start, classes.as_deref(), Stream::new(self.seed, stream::SGLD).at(t))?;
        self.buffer.write(&idx, &x)?;
        Ok((x, started))
    }

    /// First places of `n` chains: chains of a class start in its component of the base density, if there
    /// is one (no chain of that many steps would find its class among the others), all else from `p0`.
    pub(super) fn start(&self, network: &Network, n: usize, classes: Option<&[u32]>, draws: Stream) -> Result<Tensor> {
        match (classes, network.base()) {
            (Some(classes), Some(base)) => base.draw(classes, draws),
            _ => {
                let (p0, device) = (self.config.p0, network.params().arena().device());
                uniform(draws, -p0, p0, &[n, network.features()], device)
            }
        }
    }

    /// Gives every slot of the conditional mode a first place of its class.
    pub(super) fn fill(&self, network: &Network) -> Result<()> {
        let ends = self.buffer.offsets().windows(2).enumerate();
        let classes: Vec<u32> = ends.flat_map(|(class, e)| std::iter::repeat_n(class as u32, e[1] - e[0])).collect();
        let first = self.start(network, classes.len(), Some(&classes), Stream::new(self.seed, stream::BUFFER))?;
        self.buffer.load(&first.to_vec()?)
    }

    /// The configured steps from `start`, on `s(x)` or on the logits of `classes`: the same work each time,
    /// recorded where the device can.
    pub(super) fn iterate(
        &mut self,
        network: &Network,
        start: &Tensor,
        classes: Option<&[u32]>,
        draws: Stream,
    ) -> Result<Tensor> {
        let sgld = self.sgld(self.config.steps);
        let device = start.device();
        let known = self.chain.take().filter(|(chain, of)| {
            chain.fits(&sgld, start.shape()) && of.as_ref().map(Tensor::numel) == classes.map(<[u32]>::len)
        });
        let (mut chain, of) = match known {
            Some(known) => known,
            None => {
                let of = classes.map(|c| Tensor::from_u32(c, &[c.len(), 1], device)).transpose()?;
                (Chain::new(sgld, start.shape()), of)
            }
        };
        if let (Some(of), Some(classes)) = (&of, classes) {
            device.write(of.storage(), classes)?;
        }
        let x = chain.run(start, draws, &|x| score(network, x, of.as_ref()))?;
        self.chain = Some((chain, of));
        Ok(x)
    }

    /// `steps` Langevin steps from `start`, on `s(x)` or on the logits of `classes`.
    pub fn chain(
        &self,
        network: &Network,
        start: &Tensor,
        classes: Option<&[u32]>,
        draws: Stream,
        steps: usize,
    ) -> Result<Tensor> {
        let device = start.device();
        let classes = classes.map(|c| Tensor::from_u32(c, &[c.len(), 1], device)).transpose()?;
        self.sgld(steps).run(start, draws, &|x| score(network, x, classes.as_ref()))
    }

    fn sgld(&self, steps: usize) -> Sgld {
        Sgld {
            steps,
            alpha: self.config.alpha,
            sigma: self.config.sigma,
            grad_clamp: self.config.grad_clamp,
            range: self.config.range,
        }
    }
}

/// What the chains climb, with frozen parameters in evaluation mode: `s(x)`, or the logits of
/// `classes` `[chains, 1]`.
fn score(network: &Network, x: &Tensor, classes: Option<&Tensor>) -> Result<Tensor> {
    let logits = network.logits(x, &Mode::eval())?;
    match classes {
        Some(classes) => logits.gather(1, classes)?.sum_all(),
        None => logits.logsumexp()?.sum_all(),
    }
}
