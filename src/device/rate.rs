//! The rate that no kernel exceeds.

use super::Device;
use crate::error::Result;
use crate::kernel::ceiling::{CeilingParams, FMA};
use std::time::{Duration, Instant};

impl Device {
    /// Operations per second of fused multiply-adds in registers (two each), if this device has a
    /// kernel to measure it; a tenth of a second.
    ///
    /// # Errors
    /// Those of the device.
    pub fn fma_rate(&self) -> Result<Option<f64>> {
        if matches!(self.name(), "cpu" | "reference") {
            return Ok(None);
        }
        const N: u32 = 1 << 20;
        /// A round takes at least this long.
        const ENOUGH: Duration = Duration::from_millis(10);
        let out = self.alloc(N as usize)?;
        let run = |steps: u32| -> Result<Duration> {
            // Half, so that values stay ordinary.
            let params = CeilingParams { n: N, steps, a: 0.5, b: 1.0 };
            let start = Instant::now();
            self.launch(&FMA, &params, &[&out], [N, 1, 1])?;
            self.sync()?;
            Ok(start.elapsed())
        };
        let mut steps = 16;
        run(steps)?;
        while steps < 1 << 13 && run(steps)? < ENOUGH {
            steps *= 2;
        }
        let times = (0..9).map(|_| run(steps)).collect::<Result<Vec<Duration>>>()?;
        let best = times.into_iter().min().unwrap_or(ENOUGH);
        Ok(Some(16.0 * f64::from(N) * f64::from(steps) / best.as_secs_f64()))
    }
}
