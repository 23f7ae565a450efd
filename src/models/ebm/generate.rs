//! Cells drawn from a trained model, class by class (CLAMS specification, section 9): from the replay
//! buffer, from new Langevin chains where it has too few, or from VERA's generator.

use super::config::{EbmConfig, SgldConfig};
use super::evaluate;
use super::joint::{BUFFER, SEGMENTS};
use super::network::Network;
use super::sample::Sampler;
use super::train::Named;
use super::vera::Generator;
use crate::device::Device;
use crate::error::Result;
use crate::nn::Mode;
use crate::rng::{Stream, stream};
use crate::tensor::{Tensor, no_grad};
use serde::{Deserialize, Serialize};

/// Langevin steps of a round of new chains.
const STEPS: usize = 40;
/// Cells that a generator draws at once.
const AT_ONCE: usize = 1024;
/// Cells that a generator draws at most, per cell asked for.
const TRIES: usize = 100;

/// Where a cell comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A slot of the replay buffer.
    Buffer,
    /// A chain that was started for it.
    Chain,
    /// A generator.
    Generator,
}

impl Origin {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Buffer => "buffer",
            Origin::Chain => "chain",
            Origin::Generator => "generator",
        }
    }
}

/// How many cells, and how new chains are run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wish {
    /// Cells of each class.
    pub per_class: usize,
    /// Rounds of 40 Langevin steps that a new chain takes.
    pub rounds: usize,
    /// Seed of the draws.
    pub seed: u64,
}

/// Cells drawn, class after class.
#[derive(Clone, Debug, Default)]
pub struct Generated {
    /// `[n, features]`
    pub x: Vec<f32>,
    /// The class that each was drawn as.
    pub class: Vec<u32>,
    /// Where each comes from.
    pub origin: Vec<Origin>,
}

impl Generated {
    fn push(&mut self, x: &[f32], class: usize, origin: Origin) {
        self.x.extend_from_slice(x);
        self.class.push(class as u32);
        self.origin.push(origin);
    }
}

/// Draws cells of every class. `generative` is what [`super::Trainer::generative`] gave; `each` hears
/// how many of how many steps of work are done, and may stop it. A generator may give fewer cells of a
/// class than were asked for.
///
/// # Errors
/// `Error::Argument` for arrays that do not fit the configuration; those of `each` and of the device.
pub fn generate(
    network: &Network,
    config: &EbmConfig,
    generative: &[Named],
    wish: Wish,
    device: &Device,
    each: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<Generated> {
    let mut drawn = match &config.vera {
        Some(vera) => {
            let generator = Generator::new(vera, network.features(), 0, device)?;
            generator.import(generative)?;
            from_generator(network, &generator, wish, device, each)?
        }
        None => from_chains(network, config, generative, wish, device, each)?,
    };
    if config.loss.input_noise > 0.0 && !drawn.class.is_empty() {
        drawn.x = without_noise(network, config, &drawn, device)?;
    }
    Ok(drawn)
}

/// The training puts noise on real cells, so the density is that of noisy ones. What a noisy cell was
/// before, on average, is `x + sigma^2 grad log p(x, y)` (Robbins 1956; to draw from the noisy density
/// and jump there: Saremi & Hyvarinen 2019).
fn without_noise(network: &Network, config: &EbmConfig, drawn: &Generated, device: &Device) -> Result<Vec<f32>> {
    let (d, variance) = (network.features(), config.loss.input_noise.powi(2));
    let sgld = SgldConfig { alpha: variance, sigma: 0.0, grad_clamp: None, buffer: 1, ..config.sgld.clone() };
    let sgld = SgldConfig { conditional: false, ..sgld };
    let sampler = Sampler::new(&sgld, d, &vec![1; network.classes()], 0, device)?;
    let x = Tensor::from_slice(&drawn.x, &[drawn.class.len(), d], device)?;
    sampler.chain(network, &x, Some(&drawn.class), Stream::new(0, stream::GENERATE), 1)?.to_vec()
}

fn labels(network: &Network, x: &[f32], device: &Device) -> Result<Vec<u32>> {
    Ok(evaluate::readings(&evaluate::logits(network, x, device)?).label)
}

fn from_generator(
    network: &Network,
    generator: &Generator,
    wish: Wish,
    device: &Device,
    each: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<Generated> {
    let (d, classes) = (network.features(), network.classes());
    let mut by_class: Vec<Vec<f32>> = vec![Vec::new(); classes];
    let wanted = wish.per_class * d;
    let batches = (wish.per_class * classes * TRIES).div_ceil(AT_ONCE);
    for batch in 0..batches {
        each(batch as u64, batches as u64)?;
        let draws = Stream::new(wish.seed, stream::GENERATE).at(batch as u32);
        let x = no_grad(|| generator.sample(AT_ONCE, draws, &Mode::eval()))?.x.to_vec()?;
        for (cell, label) in x.chunks(d).zip(labels(network, &x, device)?) {
            let kept = &mut by_class[label as usize];
            if kept.len() < wanted {
                kept.extend_from_slice(cell);
            }
        }
        if by_class.iter().all(|kept| kept.len() == wanted) {
            break;
        }
    }
    let mut all = Generated::default();
    for (class, kept) in by_class.iter().enumerate() {
        kept.chunks(d).for_each(|cell| all.push(cell, class, Origin::Generator));
    }
    Ok(all)
}

/// The buffer's slots by class: its segments where it has them, else by the network's own label.
fn slots_by_class(network: &Network, generative: &[Named], device: &Device) -> Result<Vec<Vec<usize>>> {
    let find = |name: &str| generative.iter().find(|(n, ..)| n == name).map(|(.., values)| values.as_slice());
    let mut by_class = vec![Vec::new(); network.classes()];
    match (find(BUFFER), find(SEGMENTS)) {
        (Some(_), Some(offsets)) => {
            for (slots, ends) in by_class.iter_mut().zip(offsets.windows(2)) {
                slots.extend(ends[0] as usize..ends[1] as usize);
            }
        }
        (Some(x), None) => {
            for (slot, label) in labels(network, x, device)?.into_iter().enumerate() {
                by_class[label as usize].push(slot);
            }
        }
        _ => {}
    }
    Ok(by_class)
}

fn from_chains(
    network: &Network,
    config: &EbmConfig,
    generative: &[Named],
    wish: Wish,
    device: &Device,
    each: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<Generated> {
    let d = network.features();
    let buffer = generative.iter().find(|(name, ..)| name == BUFFER).map_or(&[][..], |(.., values)| values.as_slice());
    let draws = Stream::new(wish.seed, stream::GENERATE);
    let mut taken = slots_by_class(network, generative, device)?;
    for (class, slots) in taken.iter_mut().enumerate() {
        draws.part(class as u32).rng().shuffle(slots);
        slots.truncate(wish.per_class);
    }
    let missing: Vec<u32> = (0..taken.len() as u32)
        .flat_map(|class| std::iter::repeat_n(class, wish.per_class - taken[class as usize].len()))
        .collect();
    let new = match missing.is_empty() {
        true => Vec::new(),
        false => chains(network, config, &missing, wish, device, each)?,
    };
    let mut rest = new.chunks(d.max(1));
    let mut all = Generated::default();
    for (class, slots) in taken.iter().enumerate() {
        slots.iter().for_each(|&slot| all.push(&buffer[slot * d..(slot + 1) * d], class, Origin::Buffer));
        let of_class = missing.iter().filter(|&&c| c as usize == class).count();
        rest.by_ref().take(of_class).for_each(|cell| all.push(cell, class, Origin::Chain));
    }
    Ok(all)
}

/// New chains, each up the logit of its class.
fn chains(
    network: &Network,
    config: &EbmConfig,
    classes: &[u32],
    wish: Wish,
    device: &Device,
    each: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<Vec<f32>> {
    let sgld = SgldConfig { steps: STEPS, buffer: 1, conditional: false, ..config.sgld.clone() };
    let mut sampler = Sampler::new(&sgld, network.features(), &vec![1; network.classes()], wish.seed, device)?;
    let draws = Stream::new(wish.seed, stream::GENERATE);
    let mut x = sampler.start(network, classes.len(), Some(classes), draws.at(1))?;
    for round in 0..wish.rounds {
        each(round as u64, wish.rounds as u64)?;
        x = sampler.iterate(network, &x, Some(classes), draws.at(2 + round as u32))?;
    }
    x.to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::ebm::config::{LossConfig, NetConfig};
    use crate::tensor::grad;

    #[test]
    fn noise_comes_off_by_its_variance_times_the_slope_of_the_cells_class() {
        let device = Device::cpu(1);
        let net = NetConfig { widths: vec![8], blocks: vec![1], ..NetConfig::default() };
        let network = Network::new(&net, 3, 2, 1, &device).unwrap();
        let config =
            EbmConfig { net, loss: LossConfig { input_noise: 0.5, ..LossConfig::default() }, ..EbmConfig::default() };
        let drawn = Generated { x: vec![1.0, -0.5, 2.0, 0.3, 0.1, -1.0], class: vec![1, 0], origin: Vec::new() };
        let found = without_noise(&network, &config, &drawn, &device).unwrap();
        let x = Tensor::from_slice(&drawn.x, &[2, 3], &device).unwrap().variable();
        let class = Tensor::from_u32(&drawn.class, &[2, 1], &device).unwrap();
        let own = network.logits(&x, &Mode::eval()).unwrap().gather(1, &class).unwrap().sum_all().unwrap();
        let slope = grad(&[&own], &[&x], false).unwrap().remove(0).to_vec().unwrap();
        assert!(slope.iter().all(|s| s.abs() > 1e-6), "{slope:?}");
        for ((found, x), slope) in found.iter().zip(&drawn.x).zip(slope) {
            assert!((found - (x + 0.25 * slope)).abs() < 1e-6, "{found}: {x} + 0.25 {slope}");
        }
    }
}
