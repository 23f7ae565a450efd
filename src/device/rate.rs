//! The rate that no kernel exceeds.

use super::Device;
use crate::error::Result;

impl Device {
    /// Operations per second of fused multiply-adds in registers (two each), if this device has a
    /// kernel to measure it; some milliseconds.
    ///
    /// # Errors
    /// Those of the device.
    pub fn fma_rate(&self) -> Result<Option<f64>> {
        #[cfg(feature = "cuda")]
        if self.name().starts_with("cuda") {
            use crate::cuda::ceiling::{CeilingParams, FMA};
            use std::time::Instant;
            const N: u32 = 1 << 20;
            const STEPS: u32 = 1 << 13;
            let out = self.alloc(N as usize)?;
            // Half, so that values stay ordinary.
            let params = CeilingParams { n: N, steps: STEPS, a: 0.5, b: 1.0 };
            let run = || -> Result<f64> {
                let start = Instant::now();
                self.launch(&FMA, &params, &[&out], [N, 1, 1])?;
                self.sync()?;
                Ok(16.0 * f64::from(N) * f64::from(STEPS) / start.elapsed().as_secs_f64())
            };
            let rates = (0..9).map(|_| run()).collect::<Result<Vec<f64>>>()?;
            return Ok(rates.into_iter().reduce(f64::max));
        }
        Ok(None)
    }
}
