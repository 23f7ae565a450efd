//! Which devices this machine has, and how one is opened by name.

use super::Device;
use crate::backend::{Backend, Math};
use crate::error::{Error, Result};

/// A device beside the CPU.
#[derive(Clone, Debug)]
pub struct Accelerator {
    /// What `--device` takes: `cuda:0`.
    pub name: String,
    /// As its maker names it.
    pub model: String,
    /// Bytes, if the driver says.
    pub memory: Option<u64>,
    /// As `CUDA 12.4`.
    pub driver: String,
    /// As `capability 9.0`; empty if there is nothing to say.
    pub detail: String,
    /// Whether it is a program on the processor, which `auto` does not take.
    pub software: bool,
}

/// Kinds of accelerator, best first.
const KINDS: [&str; 2] = ["cuda", "wgpu"];

/// The accelerators of this machine, and the kinds of which there is none with the reason.
pub fn accelerators() -> (Vec<Accelerator>, Vec<(&'static str, String)>) {
    let (mut present, mut absent) = (Vec::new(), Vec::new());
    for kind in KINDS {
        match of_kind(kind) {
            Ok(found) => present.extend(found),
            Err(why) => absent.push((kind, why)),
        }
    }
    (present, absent)
}

fn of_kind(kind: &str) -> std::result::Result<Vec<Accelerator>, String> {
    match kind {
        #[cfg(feature = "cuda")]
        "cuda" => {
            let describe = |(i, found): (usize, crate::cuda::device::Found)| Accelerator {
                name: format!("cuda:{i}"),
                model: found.name,
                memory: Some(found.memory as u64),
                driver: format!("CUDA {}.{}", found.driver.0, found.driver.1),
                detail: format!("capability {}.{}", found.chip.capability.0, found.chip.capability.1),
                software: false,
            };
            Ok(crate::cuda::device::found()?.into_iter().enumerate().map(describe).collect())
        }
        #[cfg(feature = "wgpu")]
        "wgpu" => {
            let describe = |(i, found): (usize, crate::wgpu::device::Found)| Accelerator {
                name: format!("wgpu:{i}"),
                model: found.name,
                memory: None,
                driver: found.driver,
                detail: if found.software { "a program on the processor".into() } else { String::new() },
                software: found.software,
            };
            Ok(crate::wgpu::device::found()?.into_iter().enumerate().map(describe).collect())
        }
        _ => Err(format!("this build has no {kind} backend")),
    }
}

/// Checks each basic operation of an accelerator at length, also if that was done before, and says in which
/// form each is exact there; `None` where the operations need no check.
///
/// # Errors
/// Those of the device; `Error::Device` if there is no exact form of an operation.
#[allow(unused_variables)]
pub fn verify(accelerator: &Accelerator) -> Result<Option<String>> {
    #[cfg(feature = "wgpu")]
    if let Some(index) = accelerator.name.strip_prefix("wgpu:").and_then(|index| index.parse().ok()) {
        let gpu = crate::wgpu::device::Gpu::open(index)?;
        return crate::wgpu::verify(&gpu).map(|forms| Some(forms.describe()));
    }
    Ok(None)
}

/// Opens an accelerator: `cuda`, `cuda:1`, `wgpu`.
pub(super) fn open(name: &str, math: Math) -> Result<Device> {
    let unknown = || {
        let what = format!("--device {name}: no such kind of device");
        Error::usage(what, "give auto, cpu, cuda[:N] or wgpu[:N], as in cuda:1")
    };
    let refuse = |why: String| Error::Device { device: name.into(), why, fix: "use --device cpu".into() };
    let (kind, index) = match name.split_once(':') {
        None => (name, 0),
        Some((kind, number)) => match number.parse() {
            Ok(index) => (kind, index),
            Err(_) => return Err(unknown()),
        },
    };
    if !KINDS.contains(&kind) {
        return Err(unknown());
    }
    backend(kind, index, math)
        .map_err(|e| e.unwrap_or_else(|| refuse(format!("this build has no {kind} backend"))))
        .map(Device::new)
}

/// The backend of a device, or `None` if this build has none of its kind.
#[allow(unused_variables)]
fn backend(kind: &str, index: usize, math: Math) -> std::result::Result<Box<dyn Backend>, Option<Error>> {
    match kind {
        #[cfg(feature = "cuda")]
        "cuda" => {
            let gpu = crate::cuda::device::Gpu::open(index).map_err(Some)?;
            Ok(Box::new(crate::cuda::Cuda::with_math(gpu, math)))
        }
        #[cfg(feature = "wgpu")]
        "wgpu" => {
            let gpu = crate::wgpu::device::Gpu::open(index).map_err(Some)?;
            Ok(Box::new(crate::wgpu::Wgpu::new(gpu.into(), math).map_err(Some)?))
        }
        _ => Err(None),
    }
}

/// The best device that there is, and one line about what was taken and why.
pub(super) fn best(threads: usize, math: Math) -> (Device, String) {
    let mut reasons = Vec::new();
    for kind in KINDS {
        let found = match of_kind(kind) {
            Ok(found) => found,
            Err(why) => {
                reasons.push(format!("{kind}: {why}"));
                continue;
            }
        };
        let Some(first) = found.into_iter().find(|found| !found.software) else {
            reasons.push(format!("{kind}: only programs on the processor"));
            continue;
        };
        match open(&first.name, math) {
            Ok(device) => return (device, format!("{} ({})", first.name, first.model)),
            Err(Error::Device { why, .. }) => reasons.push(format!("{kind}: {why}")),
            Err(other) => reasons.push(format!("{kind}: {other}")),
        }
    }
    (Device::cpu(threads), format!("cpu ({})", reasons.join("; ")))
}
