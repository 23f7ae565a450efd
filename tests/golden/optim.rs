//! Topic `optim`: optimiser trajectories, schedules, clipping, moving averages.

use crate::store::{Case, Topic, assert_close, widen};
use cytograd::device::Device;
use cytograd::nn::optim::{clip_grad_norm, ema};
use cytograd::nn::schedule::{Plateau, Schedule};
use cytograd::nn::{Optimizer, OptimizerConfig};
use cytograd::tensor::Tensor;

/// The optimiser that a case names, with its learning rate; what it does not say is PyTorch's default.
fn optimizer(case: &Case, decay_key: &str) -> (OptimizerConfig, f64) {
    let get = |name: &str, default: f64| case.number(name).unwrap_or(default);
    let betas = match case.param("betas").as_array() {
        Some(b) => (b[0].as_f64().expect("beta"), b[1].as_f64().expect("beta")),
        None => (0.9, 0.999),
    };
    let flag = |name: &str| case.param(name).as_bool().unwrap_or(false);
    let name = case.text("optimizer").expect("optimizer");
    let weight_decay = get(decay_key, if name == "AdamW" { 0.01 } else { 0.0 });
    let eps = |default| get("eps", default);
    let (config, lr) = match name {
        "SGD" => (
            OptimizerConfig::Sgd {
                momentum: get("momentum", 0.0),
                dampening: get("dampening", 0.0),
                nesterov: flag("nesterov"),
                weight_decay,
            },
            1e-3,
        ),
        "Adam" => (OptimizerConfig::Adam { betas, eps: eps(1e-8), weight_decay, amsgrad: flag("amsgrad") }, 1e-3),
        "AdamW" => (OptimizerConfig::AdamW { betas, eps: eps(1e-8), weight_decay }, 1e-3),
        "Adadelta" => (OptimizerConfig::Adadelta { rho: get("rho", 0.9), eps: eps(1e-6), weight_decay }, 1.0),
        "RMSprop" => (OptimizerConfig::RmsProp { alpha: get("alpha", 0.99), eps: eps(1e-8), weight_decay }, 1e-2),
        "Adagrad" => (OptimizerConfig::Adagrad { lr_decay: get("lr_decay", 0.0), eps: eps(1e-10), weight_decay }, 1e-2),
        "Adamax" => (OptimizerConfig::Adamax { betas, eps: eps(1e-8), weight_decay }, 2e-3),
        "NAdam" => {
            let momentum_decay = get("momentum_decay", 4e-3);
            (OptimizerConfig::NAdam { betas, eps: eps(1e-8), weight_decay, momentum_decay }, 2e-3)
        }
        "RAdam" => (OptimizerConfig::RAdam { betas, eps: eps(1e-8), weight_decay }, 1e-3),
        other => panic!("an optimiser of the file that this test does not know: {other}"),
    };
    (config, get("lr", lr))
}

fn schedule(case: &Case) -> Schedule {
    let get = |name: &str| case.number(name).unwrap_or_else(|| panic!("{}: no {name}", case.name()));
    match case.text("kind").expect("kind") {
        "CosineAnnealingLR" => Schedule::Cosine { steps: get("T_max") as usize, floor: get("eta_min") },
        "StepLR" => Schedule::Step { every: get("step_size") as usize, factor: get("gamma") },
        "MultiStepLR" => {
            let at = case.param("milestones").as_array().expect("milestones");
            let at = at.iter().map(|m| m.as_u64().expect("milestone") as usize).collect();
            Schedule::Milestones { at, factor: get("gamma") }
        }
        "ExponentialLR" => Schedule::Exponential { factor: get("gamma") },
        "LinearLR" => {
            Schedule::Linear { start: get("start_factor"), end: get("end_factor"), steps: get("total_iters") as usize }
        }
        "CosineAnnealingWarmRestarts" => Schedule::CosineRestarts {
            first: get("T_0") as usize,
            growth: get("T_mult") as usize,
            floor: case.number("eta_min").unwrap_or(0.0),
        },
        other => panic!("a schedule of the file that this test does not know: {other}"),
    }
}

fn close(case: &Case, path: &str, found: &[f64], rtol: f64) {
    let expected = case.array(path).data;
    let largest = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    assert_close(&format!("{} {path}", case.name()), found, &expected, rtol, 1e-6 * largest);
}

fn run(case: &Case, device: &Device) -> cytograd::Result<()> {
    match case.op() {
        "opt_fixed" | "opt_closed" => {
            let w0 = case.array("in/w0");
            let n = w0.data.len();
            let arena = Tensor::from_slice(&w0.f32(), &[n], device)?;
            let (config, lr) = optimizer(case, "weight_decay");
            let mut optimizer = Optimizer::new(config, n, device)?;
            let steps = case.array("out/w").shape[0];
            let (mut path, mut values) = (Vec::new(), Vec::new());
            for t in 0..steps {
                let g: Vec<f32> = if case.op() == "opt_fixed" {
                    case.array("in/grads").f32()[t * n..(t + 1) * n].to_vec()
                } else {
                    // f(w) = (w - c)' A (w - c) / 2 + 0.1 sum cos w, in f64 at the f32 parameters.
                    let (a, c) = (case.array("in/A").data, case.array("in/c").data);
                    let w = widen(&arena.to_vec()?);
                    let d: Vec<f64> = w.iter().zip(&c).map(|(w, c)| w - c).collect();
                    let ad: Vec<f64> = (0..n).map(|i| (0..n).map(|j| a[i * n + j] * d[j]).sum()).collect();
                    let half: f64 = 0.5 * d.iter().zip(&ad).map(|(d, a)| d * a).sum::<f64>();
                    values.push(half + 0.1 * w.iter().map(|w| w.cos()).sum::<f64>());
                    ad.iter().zip(&w).map(|(a, w)| (a - 0.1 * w.sin()) as f32).collect()
                };
                let g = Tensor::from_slice(&g, &[n], device)?;
                optimizer.step_range(&arena, &g, lr, 0..n)?;
                optimizer.advance();
                path.extend(widen(&arena.to_vec()?));
            }
            close(case, "out/w", &path, 1e-5);
            if !values.is_empty() {
                close(case, "out/f", &values, 1e-5);
            }
        }
        "opt_two_tensors" => {
            let (w, b) = (case.array("in/W"), case.array("in/b"));
            let (n, m) = (w.data.len(), b.data.len());
            let both: Vec<f32> = w.f32().into_iter().chain(b.f32()).collect();
            let arena = Tensor::from_slice(&both, &[n + m], device)?;
            let mut groups = ["W_weight_decay", "b_weight_decay"].map(|key| {
                let (config, lr) = optimizer(case, key);
                (Optimizer::new(config, n + m, device).expect("optimiser"), lr)
            });
            let (gw, gb) = (case.array("in/gW").f32(), case.array("in/gb").f32());
            let (mut out_w, mut out_b) = (Vec::new(), Vec::new());
            for t in 0..gb.len() / m {
                let g: Vec<f32> = gw[t * n..(t + 1) * n].iter().chain(&gb[t * m..(t + 1) * m]).copied().collect();
                let g = Tensor::from_slice(&g, &[n + m], device)?;
                for ((optimizer, lr), range) in groups.iter_mut().zip([0..n, n..n + m]) {
                    optimizer.step_range(&arena, &g, *lr, range)?;
                    optimizer.advance();
                }
                let now = widen(&arena.to_vec()?);
                out_w.extend_from_slice(&now[..n]);
                out_b.extend_from_slice(&now[n..]);
            }
            close(case, "out/W", &out_w, 1e-5);
            close(case, "out/b", &out_b, 1e-5);
        }
        "lr_schedule" if case.text("kind") == Some("ReduceLROnPlateau") => {
            let get = |name: &str| case.number(name).expect("parameter");
            let mut plateau = Plateau::new(get("lr"), get("factor"), get("patience") as usize, get("threshold"));
            let rates: Vec<f64> = case.array("in/metric").data.iter().map(|&m| plateau.step(m)).collect();
            close(case, "out/lr", &rates, 1e-11);
        }
        "lr_schedule" => {
            let (schedule, base) = (schedule(case), case.number("lr").expect("lr"));
            let steps = case.array("out/lr").data.len();
            let rates: Vec<f64> = (0..steps).map(|t| schedule.rate(base, t)).collect();
            assert_close(case.name(), &rates, &case.array("out/lr").data, 1e-11, 1e-15);
        }
        "clip" => {
            let names = case.names("in");
            let grads = names
                .iter()
                .map(|n| case.array(&format!("in/{n}")))
                .map(|a| Tensor::from_slice(&a.f32(), &a.shape, device))
                .collect::<cytograd::Result<Vec<_>>>()?;
            let clipped = match case.number("max_norm") {
                Some(max) => {
                    let (clipped, norm) = clip_grad_norm(&grads, max as f32)?;
                    close(case, "out/norm", &[f64::from(norm.item()?)], 1e-5);
                    clipped
                }
                None => {
                    let bound = case.number("clip_value").expect("clip_value") as f32;
                    grads.iter().map(|g| g.clamp(-bound, bound)).collect::<cytograd::Result<Vec<_>>>()?
                }
            };
            for (name, g) in names.iter().zip(&clipped) {
                close(case, &format!("out/{name}"), &widen(&g.to_vec()?), 1e-5);
            }
        }
        "ema" => {
            let w = case.array("in/w");
            let n = w.shape[1];
            let rows: Vec<Vec<f32>> = w.f32().chunks(n).map(<[f32]>::to_vec).collect();
            // The first update copies the weights.
            let average = Tensor::from_slice(&rows[0], &[n], device)?;
            let mut path = widen(&rows[0]);
            for row in &rows[1..] {
                ema(&average, &Tensor::from_slice(row, &[n], device)?, case.number("decay").expect("decay"))?;
                path.extend(widen(&average.to_vec()?));
            }
            close(case, "out/ema", &path, 1e-5);
        }
        other => panic!("an op of the file that this test cannot run: {other}"),
    }
    Ok(())
}

#[test]
fn golden_optim() {
    let Some(topic) = Topic::open("optim") else { return };
    let device = Device::cpu(1);
    for case in topic.cases() {
        run(&case, &device).unwrap_or_else(|e| panic!("{}: {e}", case.name()));
    }
}
