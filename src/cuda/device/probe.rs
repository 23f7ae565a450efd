//! Which CUDA devices there are, and why there is none.

use crate::cuda::plan::Chip;
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUdevice_attribute_enum as Attribute};

/// The oldest driver that takes the embedded PTX (version 8.0).
const DRIVER: i32 = 12_000;
/// The oldest chip that the PTX is for.
const CAPABILITY: (u32, u32) = (7, 0);

/// A device of this machine.
#[derive(Clone, Debug)]
pub struct Found {
    /// As its maker names it.
    pub name: String,
    /// Bytes.
    pub memory: usize,
    /// The newest CUDA version that the driver speaks, as (12, 4).
    pub driver: (u32, u32),
    /// What planners need to know of it.
    pub chip: Chip,
    pub(super) handle: sys::CUdevice,
}

impl Found {
    /// Why the kernels cannot run on it, if so.
    pub fn unfit(&self) -> Option<String> {
        let (major, minor) = self.chip.capability;
        (self.chip.capability < CAPABILITY)
            .then(|| format!("{} has compute capability {major}.{minor}, 7.0 is needed", self.name))
    }
}

/// The devices, in the driver's order (`CUDA_VISIBLE_DEVICES` counts); at least one.
///
/// # Errors
/// Why there is none, in words.
pub fn found() -> Result<Vec<Found>, String> {
    // SAFETY: opens and closes a shared library by its well-known name.
    if !unsafe { sys::is_culib_present() } {
        return Err("no NVIDIA driver on this machine".into());
    }
    let mut version = 0;
    // SAFETY: this call exists in every driver and needs no initialisation.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result().map_err(refused)?;
    if let Some(why) = too_old(version) {
        return Err(why);
    }
    result::init().map_err(refused)?;
    let count = result::device::get_count().map_err(refused)?;
    if count == 0 {
        return Err("the NVIDIA driver finds no device".into());
    }
    (0..count).map(|i| describe(i, version).map_err(refused)).collect()
}

/// 12040 is CUDA 12.4.
fn spoken(version: i32) -> (u32, u32) {
    ((version / 1000) as u32, (version % 1000 / 10) as u32)
}

/// Why a driver that speaks this version cannot take the kernels, if so.
fn too_old(version: i32) -> Option<String> {
    let (major, minor) = spoken(version);
    (version < DRIVER).then(|| {
        format!("the NVIDIA driver is too old: it speaks CUDA {major}.{minor}, 12.0 is needed (driver 525 or newer)")
    })
}

fn refused(e: DriverError) -> String {
    match e.0 {
        sys::CUresult::CUDA_ERROR_NO_DEVICE => "the NVIDIA driver finds no device".into(),
        _ => format!("the NVIDIA driver refuses: {}", text(e)),
    }
}

fn describe(index: i32, version: i32) -> Result<Found, DriverError> {
    let handle = result::device::get(index)?;
    // SAFETY: the handle is the driver's own.
    let attribute = |which| unsafe { result::device::get_attribute(handle, which) }.map(|value| value as u32);
    Ok(Found {
        name: result::device::get_name(handle)?,
        // SAFETY: as above.
        memory: unsafe { result::device::total_mem(handle)? },
        driver: spoken(version),
        chip: Chip {
            multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            shared_per_block: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
            capability: (
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
            ),
        },
        handle,
    })
}

/// What the driver says of an error.
pub(super) fn text(e: DriverError) -> String {
    let words = e.error_string().map(|text| text.to_string_lossy().into_owned());
    words.unwrap_or_else(|_| format!("error {}", e.0 as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_driver_gets_a_line_with_its_version_and_the_one_needed() {
        let line = too_old(11_080).expect("older than the PTX");
        assert!(line.contains("CUDA 11.8") && line.contains("12.0 is needed (driver 525"), "{line}");
        assert!(!line.contains('\n'));
        assert_eq!([12_000, 12_040, 13_000].map(too_old), [None, None, None]);
    }

    #[test]
    fn an_old_chip_gets_a_line_with_its_capability() {
        let chip = |capability| Chip { multiprocessors: 1, shared_per_block: 48 << 10, capability };
        let found = |capability| Found {
            name: "a card".into(),
            memory: 1 << 30,
            driver: (12, 4),
            chip: chip(capability),
            handle: 0,
        };
        let line = found((6, 1)).unfit().expect("older than the PTX");
        assert!(line.contains("a card has compute capability 6.1, 7.0 is needed"), "{line}");
        assert_eq!([(7, 0), (9, 0), (12, 0)].map(|c| found(c).unfit()), [None, None, None]);
    }

    #[test]
    fn a_machine_without_devices_gets_one_line() {
        if let Err(why) = super::found() {
            assert!(why.contains("NVIDIA driver") && !why.contains('\n'), "{why}");
        }
    }
}
