//! The Vulkan adapter that tests run on.
#![allow(dead_code)]

use cytograd::Result;
use cytograd::backend::Math;
use cytograd::device::Device;
use cytograd::wgpu::Wgpu;
use cytograd::wgpu::device::Gpu;

/// The backend on the first adapter.
pub fn wgpu() -> Result<Wgpu> {
    Wgpu::new(Gpu::open(0)?.into(), Math::Strict)
}

/// Whether a machine without an adapter fails the tests: `CYTOGRAD_REQUIRE` lists `wgpu`.
pub fn required() -> bool {
    std::env::var("CYTOGRAD_REQUIRE").is_ok_and(|list| list.split_whitespace().any(|word| word == "wgpu"))
}

/// The adapter, unless there is none, which is said.
pub fn gpu() -> Option<Gpu> {
    match Gpu::open(0) {
        Ok(gpu) => Some(gpu),
        Err(why) if required() => panic!("{why}"),
        Err(why) => {
            eprintln!("skipped: tests on a Vulkan adapter: {why}");
            None
        }
    }
}

/// The same as a device.
pub fn device() -> Option<Device> {
    Some(Device::new(Box::new(Wgpu::new(gpu()?.into(), Math::Strict).unwrap_or_else(|e| panic!("{e}")))))
}
