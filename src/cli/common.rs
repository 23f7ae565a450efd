//! The flags that every subcommand has, and what they are turned into.

use crate::backend;
use crate::data::Memory;
use crate::device::Device;
use crate::error::Result;
use clap::{Args, ValueEnum};

/// Flags of every subcommand.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// Number of threads [default: what affinity and control group allow]; no result depends on it
    #[arg(short, long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Where to compute: cpu, cuda, cuda:1 (the second one), or auto, the best there is
    #[arg(long, global = true, value_name = "NAME", default_value = "auto")]
    device: String,
    /// Seed of all random numbers; the same seed gives the same bits
    #[arg(long, global = true, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// How exactly to compute: beyond strict, products on CUDA tensor cores, recorded with the results
    #[arg(long, global = true, value_name = "MODE", default_value = "strict")]
    pub math: Math,
    /// The most memory to take, as in 8GiB or 500MB: inspect, preprocess and annotate read larger
    /// matrices in blocks of cells, and tensors have this limit too; no result depends on it
    /// [default: no limit]
    #[arg(long, global = true, value_name = "SIZE", value_parser = bytes)]
    memory: Option<u64>,
    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// Print the result as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// See [`Common::math`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Math {
    /// The same bits on every device
    Strict,
    /// Inputs of products rounded to TF32, three digits
    Fast,
    /// Inputs of products rounded to bf16, two digits
    Bf16,
}

impl Math {
    pub fn name(self) -> &'static str {
        self.mode().name()
    }

    /// For [`Device::open_with`].
    pub fn mode(self) -> backend::Math {
        match self {
            Math::Strict => backend::Math::Strict,
            Math::Fast => backend::Math::Fast,
            Math::Bf16 => backend::Math::Bf16,
        }
    }
}

impl Common {
    /// The number of threads to use.
    pub fn threads(&self) -> usize {
        match self.threads {
            Some(n) => usize::from(n),
            None => std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// The limit for matrices.
    pub fn memory(&self) -> Memory {
        self.memory.map_or_else(Memory::default, Memory::limited)
    }

    /// The device that was asked for.
    ///
    /// # Errors
    /// `Error::Device` if there is none.
    pub fn device(&self) -> Result<Device> {
        let device = if self.device == "auto" {
            let (device, line) = Device::best(self.threads(), self.math.mode());
            if self.verbose || (!self.quiet && device.name() != "cpu") {
                eprintln!("device: {line}");
            }
            device
        } else {
            Device::open_with(&self.device, self.threads(), self.math.mode())?
        };
        if let Some(note) = device.note()
            && !self.quiet
        {
            eprintln!("note: {note}");
        }
        if let Some(bytes) = self.memory {
            device.set_limit(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        Ok(device)
    }
}

/// A size in bytes: `8GiB`, `500MB`, `1.5G`, `1048576`.
fn bytes(text: &str) -> std::result::Result<u64, &'static str> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1_048_576.0,
        "g" | "gib" => 1_073_741_824.0,
        "t" | "tib" => 1_099_511_627_776.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        _ => return Err("not a size; write it as 8GiB or 500MB"),
    };
    match number.parse::<f64>() {
        Ok(n) if n > 0.0 => Ok((n * factor) as u64),
        _ => Err("not a size; write it as 8GiB or 500MB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_understood() {
        assert_eq!(bytes("8GiB"), Ok(8 << 30));
        assert_eq!(bytes("500MB"), Ok(500_000_000));
        assert_eq!(bytes("1.5k"), Ok(1536));
        assert_eq!(bytes("4096"), Ok(4096));
        for wrong in ["", "GiB", "-1", "0", "8 apples", "1.2.3"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
