//! The wgpu backend beside its kernels: the check of an adapter, tensors that take several bindings, and what goes
//! wrong.
#![cfg(feature = "wgpu")]

#[path = "kernels/adapter.rs"]
mod adapter;

use cytograd::backend::{Backend, Math};
use cytograd::data::h5ad;
use cytograd::data::simulate::{SimulateParams, simulate};
use cytograd::device::Device;
use cytograd::models::annotator::profile::Settings;
use cytograd::models::annotator::{Profile, TrainOptions, train};
use cytograd::models::ebm::Model;
use cytograd::models::run::{Observer, Silent};
use cytograd::wgpu::device::Gpu;
use cytograd::wgpu::{Wgpu, check, verify};
use std::fmt::Arguments;
use std::path::Path;
use std::sync::Arc;

#[test]
fn the_adapter_passes_the_strict_check_in_some_form() {
    let Some(gpu) = adapter::gpu() else { return };
    let forms = check::examine(&gpu).unwrap().unwrap_or_else(|operation| panic!("fails in {operation}"));
    eprintln!("{}: {}", gpu.adapter().name, forms.describe());
    assert_eq!(verify(&gpu).unwrap(), forms);
    if let Some(kept) = gpu.kept_verdict() {
        assert_eq!(kept, Ok(forms), "the verdict that the next run takes");
    }
}

#[test]
fn every_other_form_is_exact_too() {
    let Some(gpu) = adapter::gpu() else { return };
    assert_eq!(check::all_forms_wrong(&gpu).unwrap(), Vec::<String>::new());
}

/// The middle of a sum lies in another binding than its ends.
#[test]
fn a_tensor_larger_than_a_binding_is_summed_and_written_like_any_other() {
    let Some(gpu) = adapter::gpu() else { return };
    if gpu.largest_binding() > 256 << 20 {
        return eprintln!("skipped: a tensor larger than a binding: bindings of {} bytes", gpu.largest_binding());
    }
    let words = gpu.largest_binding() as usize / 4 + 1000;
    let device = Device::new(Box::new(Wgpu::new(gpu.into(), Math::Strict).unwrap()));
    use cytograd::tensor::Tensor;
    let x = Tensor::full(1.0, &[words], &device).unwrap();
    let y = x.add_scalar(1.0).unwrap();
    let ends = y.narrow(0, words - 7, 7).unwrap().contiguous().unwrap().to_vec().unwrap();
    assert_eq!(ends, [2.0; 7]);
    let edge = y.narrow(0, words - 1003, 6).unwrap().contiguous().unwrap().to_vec().unwrap();
    assert_eq!(edge, [2.0; 6]);
}

#[test]
fn too_large_a_buffer_is_exit_code_3_and_the_device_goes_on() {
    let Some(gpu) = adapter::gpu() else { return };
    let wgpu = Wgpu::new(gpu.into(), Math::Strict).unwrap();
    let error = wgpu.alloc(1 << 50).expect_err("no adapter has that much");
    assert_eq!(error.exit_code(), 3, "{error}");
    assert!(error.to_string().contains("cannot hold another"), "{error}");
    let small = wgpu.alloc(8).unwrap();
    wgpu.upload(&small, &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
    let mut found = [0; 8];
    wgpu.download(&small, &mut found).unwrap();
    assert_eq!(found, [1, 2, 3, 4, 5, 6, 7, 8]);
}

fn settings() -> Settings {
    let mut s = Profile::Small.settings(Model::Clams, None, 320);
    s.features.n_pcs = 10;
    s.ebm.net.widths = vec![16];
    s.ebm.net.blocks = vec![1];
    s.ebm.optim.batch = 32;
    s.ebm.optim.epochs = 4;
    s.ebm.optim.decay_epochs = vec![2];
    s.ebm.sgld.steps = 3;
    s.ebm.sgld.buffer = 100;
    s
}

/// Loses the device at an iteration.
struct Loses(Arc<Gpu>, u64);

impl Observer for Loses {
    fn begin(&mut self, _: u64, _: &str) {}
    fn step(&mut self, done: u64, _: Arguments<'_>) {
        if done == self.1 {
            self.0.lose();
        }
    }
    fn end(&mut self) {}
    fn note(&mut self, _: &str) {}
    fn detail(&mut self, _: &str) {}
    fn warn(&mut self, _: &str) {}
}

#[test]
fn a_lost_device_is_exit_code_3_and_the_checkpoint_goes_on_elsewhere_with_the_same_bits() {
    let Some(gpu) = adapter::gpu() else { return };
    let gpu = Arc::new(gpu);
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let cells = SimulateParams { n_cells: 400, n_genes: 100, n_types: 4, seed: 3, ..SimulateParams::default() };
    h5ad::write(&at("cells.h5ad"), &simulate(&cells).unwrap()).unwrap();
    let options = |out: &Path| {
        let mut o = TrainOptions::new(Model::Clams, at("cells.h5ad"), "cell_type", out);
        o.settings = Some(settings());
        o
    };
    train(&options(&at("whole")), &Device::cpu(1), &mut Silent).unwrap();

    let mut o = options(&at("lost"));
    let device = Device::new(Box::new(Wgpu::new(gpu.clone(), Math::Strict).unwrap()));
    o.stop_after = Some(5);
    train(&o, &device, &mut Silent).unwrap_err();
    (o.resume, o.stop_after) = (true, None);
    let error = train(&o, &device, &mut Loses(gpu.clone(), 11)).unwrap_err();
    assert_eq!(error.exit_code(), 3, "{error}");
    let line = error.to_string();
    assert!(line.contains("wgpu:0") && line.contains("--device cpu") && !line.contains('\n'), "{line}");
    assert!(at("lost").join("checkpoint/state.safetensors").is_file());
    assert!(!at("lost").join("model.safetensors").exists());

    train(&o, &Device::cpu(1), &mut Silent).unwrap();
    let model = |run: &str| std::fs::read(at(run).join("model.safetensors")).unwrap();
    assert!(model("whole") == model("lost"));
}
