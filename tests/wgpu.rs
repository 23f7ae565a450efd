//! The wgpu backend beside its kernels: the check of an adapter, and what goes wrong.
#![cfg(feature = "wgpu")]

#[path = "kernels/adapter.rs"]
mod adapter;

use cytograd::wgpu::check;

#[test]
fn the_adapter_passes_the_strict_check_in_some_form() {
    let Some(gpu) = adapter::gpu() else { return };
    let forms = check::examine(&gpu).unwrap().unwrap_or_else(|operation| panic!("fails in {operation}"));
    eprintln!("{}: {forms:?}", gpu.adapter().name);
}

#[test]
fn every_other_form_is_exact_too() {
    let Some(gpu) = adapter::gpu() else { return };
    assert_eq!(check::all_forms_wrong(&gpu).unwrap(), Vec::<String>::new());
}
