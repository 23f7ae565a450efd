//! Dense products in the modes beyond strict: within the error of rounded inputs, on the host (by the
//! shim, which mirrors lanes and registers of the tensor cores) and on a device, if there is one.

use crate::gemm::forms;
use crate::harness::{bits, finite, ordinary};
use crate::plans::CHIP;
use crate::shim::{self, Shim};
use cytograd::backend::{Backend, Buffer, Call, Math};
use cytograd::cuda::device::Gpu;
use cytograd::cuda::driver::{Driver, Memory};
use cytograd::cuda::gemm_fast::{Tile, choices};
use cytograd::cuda::plan::{Chip, Plan, Step};
use cytograd::cuda::{Cuda, gemm_fast, gemm_wgmma};
use cytograd::kernel::gemm::*;
use cytograd::reference::{Reference, gemm::activate};
use cytograd::{Error, Result};

/// What a mode rounds its inputs to, and the relative error of that.
fn rounded(math: Math, x: f32) -> f32 {
    let (word, finite) = (x.to_bits(), x.is_finite());
    match math {
        Math::Strict => x,
        // To nearest, ties away from zero, 13 bits less.
        Math::Fast => f32::from_bits((word + if finite { 0x1000 } else { 0 }) & !0x1fff),
        // To nearest, ties to even, 16 bits less.
        Math::Bf16 => f32::from_bits((word + if finite { 0x7fff + (word >> 16 & 1) } else { 0 }) & !0xffff),
    }
}

fn unit(math: Math) -> f64 {
    match math {
        Math::Strict => 0.0,
        Math::Fast => 2f64.powi(-11),
        Math::Bf16 => 2f64.powi(-8),
    }
}

/// The tile kernels of a mode that a driver can run: those of warp groups on capability 9.0 alone.
fn tiles<D: Driver>(cuda: &Cuda<D>, math: Math) -> Vec<&'static Tile> {
    let (all, of_groups) = match math {
        Math::Bf16 => (&gemm_fast::BF16_TILES, &gemm_wgmma::BF16_TILES),
        _ => (&gemm_fast::TF32_TILES, &gemm_wgmma::TF32_TILES),
    };
    let groups = cuda.driver().chip().capability == (9, 0);
    all.iter().chain(of_groups.iter().filter(|_| groups)).collect()
}

/// Runs `test` for both modes on the host and on the first device.
macro_rules! everywhere {
    ($test:ident) => {
        for math in [Math::Fast, Math::Bf16] {
            if !shim::listed("CYTOGRAD_SKIP", "cuda-host") {
                match shim::library() {
                    Ok(library) => $test(&Cuda::with_math(Shim::new(library, CHIP), math), math),
                    Err(why) => eprintln!("skipped: CUDA kernels on the host: {why}"),
                }
            }
            match Gpu::open(0) {
                Ok(gpu) if gpu.chip().capability >= (8, 0) => $test(&Cuda::with_math(gpu, math), math),
                Ok(_) => eprintln!("skipped: the device has no such tensor cores"),
                Err(why) => assert!(!shim::listed("CYTOGRAD_REQUIRE", "cuda"), "{why}"),
            }
        }
    };
}

struct Product<'a> {
    p: &'a GemmParams,
    a: &'a [f32],
    b: &'a [f32],
    bias: &'a [f32],
    residual: &'a [f32],
}

/// Words past the end of the output, which nothing may touch.
const GUARD: usize = 16;

impl Product<'_> {
    fn len(&self) -> usize {
        self.p.products() * (self.p.m * self.p.n) as usize
    }

    fn run(&self, backend: &dyn Backend, launch: impl Fn(&Call)) -> Vec<f32> {
        let upload = |values: &[f32]| {
            let buffer = backend.alloc(values.len() * 4).expect("alloc");
            backend.upload(&buffer, bytemuck::cast_slice(bits(values))).expect("upload");
            buffer
        };
        let out = vec![f32::MAX; self.len() + GUARD];
        let buffers = [self.a, self.b, self.bias, self.residual, &out].map(upload);
        let buffers: Vec<&Buffer> = buffers.iter().collect();
        launch(&Call { kernel: &GEMM, params: bytemuck::bytes_of(self.p), buffers: &buffers, geometry: [1; 3] });
        let mut found = out;
        backend.download(buffers[4], bytemuck::cast_slice_mut(&mut found)).expect("download");
        assert_eq!(found.split_off(self.len()), vec![f32::MAX; GUARD], "written past the end");
        found
    }

    fn planned(&self, backend: &dyn Backend) -> Vec<f32> {
        self.run(backend, |call| backend.launch(call).expect("launch"))
    }

    fn as_planned<D: Driver>(&self, cuda: &Cuda<D>, plan: &Plan) -> Vec<f32> {
        // SAFETY: a plan of this mode for this call.
        self.run(cuda, |call| unsafe { cuda.launch_as(call, plan) }.expect("launch"))
    }

    /// The exact sum over k of products of `f(a), f(b)`, and that of their sizes, for every output of one
    /// product.
    fn exact(&self, f: impl Fn(f32) -> f32) -> Vec<(f64, f64)> {
        let p = self.p;
        let element = |x: &[f32], o: &Operand, i: u32, j: u32| {
            f64::from(f(
                x[(i64::from(o.offset) + i64::from(i) * i64::from(o.row) + i64::from(j) * i64::from(o.col)) as usize]
            ))
        };
        let sum = |i, j| {
            (0..p.k).fold((0.0, 0.0), |(sum, size), l| {
                let term = element(self.a, &p.a, i, l) * element(self.b, &p.b, l, j);
                (sum + term, size + term.abs())
            })
        };
        (0..p.m).flat_map(|i| (0..p.n).map(move |j| (i, j))).map(|(i, j)| sum(i, j)).collect()
    }

    fn expected(&self, math: Math) -> Expected {
        let strict = self.planned(&Reference::new());
        Expected { math, k: self.p.k, strict, rounded: self.exact(|x| rounded(math, x)), given: self.exact(|x| x) }
    }

    fn check(&self, what: &str, math: Math, found: &[f32]) {
        self.expected(math).check(what, found);
    }
}

/// What a product must be near: the reference's, and the exact sums of rounded and of given inputs.
struct Expected {
    math: Math,
    k: u32,
    strict: Vec<f32>,
    rounded: Vec<(f64, f64)>,
    given: Vec<(f64, f64)>,
}

impl Expected {
    /// Compares with exact sums of rounded inputs, up to the rounding of sums, which pins down the
    /// rounding of inputs; and with the reference, within what the mode promises.
    fn check(&self, what: &str, found: &[f32]) {
        let (k, u, math) = (f64::from(self.k), unit(self.math), self.math);
        let sums = (k + 8.0) * 2f64.powi(-23);
        assert_eq!(found.len(), self.strict.len());
        for i in 0..found.len() {
            let (x, y) = (f64::from(found[i]), f64::from(self.strict[i]));
            let (sum, size) = self.rounded[i];
            assert!(
                (x - sum).abs() <= sums * size + 1e-37,
                "{math:?}, {what}: element {i} is {x:e}, of rounded inputs {sum:e}"
            );
            let bound = (2.0 * u + u * u + 2.0 * sums) * self.given[i].1;
            assert!(
                (x - y).abs() <= bound + 1e-37,
                "{math:?}, {what}: element {i} is {x:e}, strictly {y:e}, allowed {bound:e}"
            );
        }
    }
}

#[test]
fn fast_products_are_those_of_rounded_inputs_for_every_tile_and_cut_of_k() {
    fn test<D: Driver>(cuda: &Cuda<D>, math: Math) {
        for (m, n, k) in [(3, 4, 0), (1, 1, 700), (5, 3, 1), (33, 65, 300), (64, 64, 32), (130, 70, 523)] {
            let (a, b) = (ordinary(m * k + 5, 1), ordinary(k * n + 5, 2));
            for (form, p) in forms(m, n, k) {
                for offset in if m < 64 { 4..6 } else { 5 - (m as u32) % 2..6 - (m as u32) % 2 } {
                    let shifted = |o| Operand { offset, ..o };
                    let p = GemmParams { a: shifted(p.a), b: shifted(p.b), ..p };
                    let product = Product { p: &p, a: &a, b: &b, bias: &[0.0], residual: &[0.0] };
                    let expected = product.expected(math);
                    for choice in choices(tiles(cuda, math), &p, &CHIP) {
                        let what = format!("{form} {m}x{k}x{n} from {offset}, {choice:?}");
                        let found = product.as_planned(cuda, &choice.plan(&p));
                        expected.check(&what, &found);
                        let again = product.as_planned(cuda, &choice.plan(&p));
                        assert_eq!(bits(&found), bits(&again), "{what}: run twice");
                    }
                }
            }
        }
    }
    everywhere!(test);
}

#[test]
fn a_mode_beyond_strict_is_what_the_backend_launches() {
    fn test<D: Driver>(cuda: &Cuda<D>, math: Math) {
        let (m, n, k) = (20, 30, 40);
        let (a, b) = (ordinary(m * k, 1), ordinary(k * n, 2));
        let p = GemmParams::plain(m, n, k);
        let product = Product { p: &p, a: &a, b: &b, bias: &[0.0], residual: &[0.0] };
        let found = product.planned(cuda);
        product.check("planned", math, &found);
        assert_ne!(bits(&found), bits(&product.planned(&Reference::new())));
        for (m, n) in [(0, 3), (3, 0)] {
            let p = GemmParams::plain(m, n, 2);
            Product { p: &p, ..product }.planned(cuda);
        }
    }
    everywhere!(test);
}

#[test]
fn bias_residual_and_activation_follow_fast_products_with_the_reference_roundings() {
    fn test<D: Driver>(cuda: &Cuda<D>, _: Math) {
        for (m, n, k) in [(7, 21, 30), (66, 9, 600)] {
            let (a, b) = (ordinary(m * k, 1), ordinary(k * n, 2));
            let (bias, residual) = (finite(n + 3, 3), finite(m * n + 2, 4));
            let plain = GemmParams::plain(m, n, k);
            let sums = Product { p: &plain, a: &a, b: &b, bias: &bias, residual: &residual }.planned(cuda);
            for activation in Activation::ALL {
                let epilogue = Epilogue { bias: 1, bias_offset: 3, activation: activation as u32, a: 0.25 };
                let p = GemmParams { residual: 1, residual_offset: 2, epilogue, ..plain };
                let found = Product { p: &p, a: &a, b: &b, bias: &bias, residual: &residual }.planned(cuda);
                for (i, &found) in found.iter().enumerate() {
                    let expected = activate(activation, sums[i] + bias[3 + i % n] + residual[2 + i], 0.25);
                    let same = found.to_bits() == expected.to_bits() || found.is_nan() && expected.is_nan();
                    assert!(same, "{m}x{k}x{n} {activation:?}: element {i} is {found:e}, not {expected:e}");
                }
            }
        }
    }
    everywhere!(test);
}

#[test]
fn several_fast_products_and_views_are_each_their_own() {
    fn test<D: Driver>(cuda: &Cuda<D>, math: Math) {
        let (m, n, k) = (19, 40, 270);
        let (a, b) = (ordinary(3 * m * k, 1), ordinary(3 * k * n, 2));
        let one = GemmParams::plain(m, n, k);
        let apart = |o: Operand, words: usize| Operand { batch: [0, 0, 0, words as i32], ..o };
        let p = GemmParams { batch: [1, 1, 1, 3], a: apart(one.a, m * k), b: apart(one.b, k * n), ..one };
        for choice in choices(tiles(cuda, math), &p, &CHIP) {
            let all = Product { p: &p, a: &a, b: &b, bias: &[0.0], residual: &[0.0] };
            let found = all.as_planned(cuda, &choice.plan(&p));
            for (i, found) in found.chunks(m * n).enumerate() {
                let (a, b) = (&a[i * m * k..], &b[i * k * n..]);
                let product = Product { p: &one, a, b, bias: &[0.0], residual: &[0.0] };
                product.check(&format!("product {i}, {choice:?}"), math, found);
            }
        }
        let (row, col) = (-2 * k as i32, -1);
        let flipped = Operand { row: 3, col, offset: 500, ..one.a };
        let p = GemmParams {
            a: Operand { row, offset: (2 * k * m) as u32, ..one.a },
            b: flipped,
            m: 9,
            n: 11,
            k: 100,
            ..one
        };
        let product = Product { p: &p, a: &a, b: &b, bias: &[0.0], residual: &[0.0] };
        product.check("flipped", math, &product.planned(cuda));
    }
    everywhere!(test);
}

/// What is not finite stays so, and spoils its own row or column only.
#[test]
fn nan_and_infinity_pass_through_fast_products() {
    fn test<D: Driver>(cuda: &Cuda<D>, math: Math) {
        let (m, n, k) = (20, 18, 37);
        let (mut a, mut b) = (ordinary(m * k, 1), ordinary(k * n, 2));
        a[3 * k + 7] = f32::NAN;
        a[5 * k + 36] = f32::INFINITY;
        b[2 * n + 4] = f32::NEG_INFINITY;
        b[36 * n + 6] = f32::from_bits(0xffff_ffff);
        let p = GemmParams::plain(m, n, k);
        let product = Product { p: &p, a: &a, b: &b, bias: &[0.0], residual: &[0.0] };
        let strict = product.planned(&Reference::new());
        for (i, (found, strict)) in product.planned(cuda).into_iter().zip(strict).enumerate() {
            let same = found == strict || found.is_nan() && strict.is_nan() || found.is_finite() && strict.is_finite();
            assert!(same, "{math:?}: element {i} is {found}, strictly {strict}");
        }
    }
    everywhere!(test);
}

/// A driver whose warp-group products do nothing, or fail.
struct Broken {
    driver: Shim,
    fails: bool,
}

impl Driver for Broken {
    fn name(&self) -> &str {
        "broken"
    }
    fn chip(&self) -> Chip {
        self.driver.chip()
    }
    fn alloc(&self, bytes: usize) -> Result<Memory> {
        self.driver.alloc(bytes)
    }
    unsafe fn upload(&self, address: u64, src: &[u8]) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { self.driver.upload(address, src) }
    }
    unsafe fn download(&self, address: u64, dst: &mut [u8]) -> Result<()> {
        // SAFETY: the caller's promise.
        unsafe { self.driver.download(address, dst) }
    }
    unsafe fn launch(&self, module: &'static str, step: &Step, arguments: &[&[u8]]) -> Result<()> {
        if module == "gemm_wgmma" {
            assert!(step.function.contains("wgmma"), "{}", step.function);
            let why = "module gemm_wgmma cannot be loaded".into();
            return if self.fails { Err(Error::Launch { kernel: "gemm", why }) } else { Ok(()) };
        }
        // SAFETY: the caller's promise.
        unsafe { self.driver.launch(module, step, arguments) }
    }
    fn sync(&self) -> Result<()> {
        self.driver.sync()
    }
}

#[test]
fn warp_group_products_that_fail_their_check_are_not_used_and_that_is_said() {
    let library = match shim::library() {
        Ok(library) => library,
        Err(why) => return eprintln!("skipped: CUDA kernels on the host: {why}"),
    };
    let (m, n, k) = (130, 260, 40);
    let (a, b) = (ordinary(m * k, 1), ordinary(k * n, 2));
    let p = GemmParams::plain(m, n, k);
    let product = Product { p: &p, a: &a, b: &b, bias: &[0.0], residual: &[0.0] };
    for math in [Math::Fast, Math::Bf16] {
        let working = Cuda::with_math(Shim::new(library.clone(), CHIP), math);
        assert_eq!(working.note(), None, "{math:?}");
        product.check("checked", math, &product.planned(&working));
        for fails in [false, true] {
            let driver = Broken { driver: Shim::new(library.clone(), CHIP), fails };
            let broken = Cuda::with_math(driver, math);
            let note = broken.note().expect("a note");
            assert!(note.contains("products by warp groups fail their check") && !note.contains('\n'), "{note}");
            product.check("without", math, &product.planned(&broken));
        }
    }
    // Nothing to check where they are not for the device, or not asked for.
    for (math, capability) in [(Math::Fast, (8, 9)), (Math::Strict, (9, 0)), (Math::Bf16, (10, 0))] {
        let driver = Broken { driver: Shim::new(library.clone(), Chip { capability, ..CHIP }), fails: true };
        assert_eq!(Cuda::with_math(driver, math).note(), None, "{math:?} {capability:?}");
    }
}
