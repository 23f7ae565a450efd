//! Which Vulkan adapters there are, and why there is none.

use std::sync::Once;

use ::wgpu::{Adapter, AdapterInfo, Backends, DeviceType, DownlevelFlags, Features, Instance, InstanceDescriptor};

/// An adapter of this machine.
#[derive(Clone)]
pub struct Found {
    /// As its maker names it.
    pub name: String,
    /// Driver and version.
    pub driver: String,
    /// Whether it is a program on the processor rather than a device.
    pub software: bool,
    /// Most bytes of a buffer.
    pub largest_buffer: u64,
    pub(super) adapter: Adapter,
}

impl Found {
    fn new(adapter: Adapter) -> Self {
        let AdapterInfo { name, driver, driver_info, device_type, .. } = adapter.get_info();
        Found {
            name,
            driver: format!("{driver} {driver_info}").trim().into(),
            software: device_type == DeviceType::Cpu,
            largest_buffer: adapter.limits().max_buffer_size,
            adapter,
        }
    }

    /// Why the kernels cannot run on it, if so.
    pub fn unfit(&self) -> Option<String> {
        let computes = self.adapter.get_downlevel_capabilities().flags.contains(DownlevelFlags::COMPUTE_SHADERS);
        let takes_spirv = self.adapter.features().contains(Features::PASSTHROUGH_SHADERS);
        missing(computes, takes_spirv).map(|what| format!("{} ({}) {what}", self.name, self.driver))
    }

    /// What a verdict on the adapter holds for.
    pub(super) fn identity(&self) -> String {
        let info = self.adapter.get_info();
        format!("{} {:x}:{:x} {} {}", info.name, info.vendor, info.device, info.driver, info.driver_info)
    }
}

/// What an adapter lacks, in words.
fn missing(computes: bool, takes_spirv: bool) -> Option<&'static str> {
    match (computes, takes_spirv) {
        (false, _) => Some("cannot compute: its driver has no compute shaders"),
        (_, false) => Some("cannot be used: its driver takes no SPIR-V"),
        _ => None,
    }
}

/// The adapters, devices before programs; at least one.
///
/// # Errors
/// Why there is none, in words.
pub fn found() -> Result<Vec<Found>, String> {
    static QUIET: Once = Once::new();
    // A layer of Mesa asks a display which adapter it is on, and without one writes to standard error.
    // SAFETY: readers in Rust take std's lock; in other threads nothing else reads the environment while
    // devices are looked for.
    QUIET.call_once(|| unsafe { std::env::set_var("NODEVICE_SELECT", "1") });
    let instance = Instance::new(InstanceDescriptor {
        backends: Backends::VULKAN,
        ..InstanceDescriptor::new_without_display_handle()
    });
    let adapters = pollster::block_on(instance.enumerate_adapters(Backends::VULKAN));
    let mut all: Vec<Found> = adapters.into_iter().map(Found::new).collect();
    all.sort_by_key(|found| match found.adapter.get_info().device_type {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    });
    if all.is_empty() { Err("no Vulkan driver on this machine".into()) } else { Ok(all) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_without_compute_shaders_is_named_as_one() {
        assert!(missing(false, true).is_some_and(|what| what.contains("no compute shaders")));
        assert!(missing(true, false).is_some() && missing(true, true).is_none());
    }

    #[test]
    fn a_machine_without_adapters_gets_one_line() {
        if let Err(why) = found() {
            assert!(why.contains("Vulkan driver") && !why.contains('\n'), "{why}");
        }
    }
}
