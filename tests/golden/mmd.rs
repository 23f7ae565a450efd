//! Topic `mmd`: maximum mean discrepancies and their gradients.

use crate::store::{Case, Topic, assert_close, widen};
use cytograd::Result;
use cytograd::device::Device;
use cytograd::nn::mmd;
use cytograd::tensor::op::{MmdKernel, Similarity};
use cytograd::tensor::{Tensor, grad};

/// Agreement of float32 statistics: they are differences of means near each other.
const STATISTIC: f64 = 5e-6;

fn kernel(case: &Case, device: &Device) -> Result<MmdKernel> {
    let gammas = case.param("gammas").as_array().expect("gammas");
    let gammas: Vec<f32> = gammas.iter().map(|g| g.as_f64().expect("gamma") as f32).collect();
    let similarity = match case.text("kernel").expect("kernel") {
        "rbf" | "multi" => Similarity::Gaussian,
        "linear" => Similarity::Linear,
        "poly" => Similarity::Cubic,
        "laplacian" => Similarity::Laplacian,
        other => panic!("a kernel of the file that this test does not know: {other}"),
    };
    MmdKernel::new(similarity, &gammas, device)
}

fn statistic(case: &Case, path: &str, found: &Tensor) {
    let expected = case.array(path).data;
    let scale = expected[0].abs().max(1.0);
    assert_close(
        &format!("{} {path}", case.name()),
        &widen(&found.to_vec().expect("value")),
        &expected,
        0.0,
        STATISTIC * scale,
    );
}

fn gradients(case: &Case, of: &Tensor, x: &Tensor, y: &Tensor, paths: [&str; 2]) {
    let grads = grad(&[of], &[x, y], false).unwrap_or_else(|e| panic!("{}: {e}", case.name()));
    for (path, g) in paths.iter().zip(&grads) {
        let expected = case.array(path);
        let largest = expected.data.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let found = widen(&g.to_vec().expect("gradient"));
        assert_close(&format!("{} {path}", case.name()), &found, &expected.data, 2e-4, 2e-4 * largest.max(1e-3));
    }
}

fn run(case: &Case, device: &Device) -> Result<()> {
    let points = |name: &str| {
        let array = case.array(&format!("in/{name}"));
        Tensor::from_slice(&array.f32(), &array.shape, device).map(|t| t.variable())
    };
    let (x, y) = (points("x")?, points("y")?);
    match case.op() {
        "mmd_rbf" | "mmd_linear" | "mmd_poly" | "mmd_laplacian" => {
            let kernel = kernel(case, device)?;
            let biased = mmd::biased(&kernel, &x, &y)?;
            statistic(case, "out/biased", &biased);
            gradients(case, &biased, &x, &y, ["grad/x", "grad/y"]);
            let unbiased = mmd::unbiased(&kernel, &x, &y)?;
            statistic(case, "out/unbiased", &unbiased);
            gradients(case, &unbiased, &x, &y, ["out/unbiased_grad_x", "out/unbiased_grad_y"]);
        }
        "mmd_adaptive" => {
            let factor = case.number("kernel_mul").expect("kernel_mul") as f32;
            let kernels = case.number("kernel_num").expect("kernel_num") as usize;
            let fixed = mmd::adaptive(&x, &y, factor, kernels, false)?;
            statistic(case, "out/y", &fixed);
            gradients(case, &fixed, &x, &y, ["grad/x", "grad/y"]);
            let full = mmd::adaptive(&x, &y, factor, kernels, true)?;
            gradients(case, &full, &x, &y, ["out/full_grad_x", "out/full_grad_y"]);
        }
        "median_heuristic" => {
            let found = mmd::distances(&x, &y)?;
            for (path, value) in [
                ("out/median_distance", found.median),
                ("out/median_squared", found.median_squared),
                ("out/mean_squared", found.mean_squared),
            ] {
                assert_close(&format!("{} {path}", case.name()), &[value], &case.array(path).data, 1e-6, 0.0);
            }
        }
        other => panic!("an op of the file that this test cannot run: {other}"),
    }
    Ok(())
}

#[test]
fn golden_mmd() {
    let Some(topic) = Topic::open("mmd") else { return };
    for case in topic.cases() {
        run(&case, &Device::cpu(2)).unwrap_or_else(|e| panic!("{}: {e}", case.name()));
    }
}
