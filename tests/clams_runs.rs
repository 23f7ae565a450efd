//! What runs of the energy-based models do beyond labelling: restarts after divergence, batch correction
//! (check 25 of the CLAMS specification, section 10).

mod models;

use cytograd::analysis::neighbors::{knn, knn_query};
use cytograd::device::Device;
use cytograd::models::ebm::correct::{CorrectConfig, correct};
use cytograd::models::ebm::{BURST, Clip, StepLog, Trainer};
use cytograd::rng::{Rng, Stream, stream};
use models::clams_with;

/// An unclipped run with far too high a learning rate.
fn wild(max_restarts: usize) -> Trainer {
    clams_with(&Device::cpu(1), |config| {
        config.loss.clip = Clip::None;
        config.optim.lr = 1.0;
        config.divergence.limit = 1e3;
        config.divergence.max_restarts = max_restarts;
    })
}

fn iterate(trainer: &mut Trainer, steps: usize) -> Vec<StepLog> {
    let one = |trainer: &mut Trainer| {
        let log = trainer.step().unwrap();
        if trainer.epoch_is_full() {
            trainer.end_epoch().unwrap();
        }
        log
    };
    (0..steps).map_while(|_| (!trainer.finished()).then(|| one(trainer))).collect()
}

fn bytes(trainer: &Trainer) -> Vec<u8> {
    trainer.state().unwrap().to_bytes().unwrap()
}

#[test]
fn a_run_that_diverges_within_a_burst_is_as_one_that_was_watched_at_every_iteration() {
    for max_restarts in [0, 1] {
        let run = |burst: u64| {
            let mut trainer = wild(max_restarts);
            let mut told = 0;
            while !trainer.finished() && trainer.divergence().restarts.is_empty() {
                told += trainer.steps(trainer.iteration() + burst, &|| false).unwrap().len();
                if trainer.divergence().at.is_none() && trainer.epoch_is_full() {
                    trainer.end_epoch().unwrap();
                }
            }
            let state = bytes(&trainer);
            (told, trainer, state)
        };
        let ((told, watched, state), (told_at_once, burst, state_of_burst)) = (run(1), run(BURST));
        assert_eq!((burst.divergence(), told_at_once), (watched.divergence(), told));
        assert_eq!(burst.iteration(), watched.iteration());
        assert_eq!(burst.on_iterations(), watched.on_iterations());
        if max_restarts > 0 {
            assert!(state == state_of_burst, "back at the same state");
        }
    }
}

#[test]
fn a_diverged_run_goes_back_and_changes_course_as_often_as_it_may() {
    let mut stops = wild(0);
    let steps = iterate(&mut stops, 100).len();
    assert!(stops.divergence().at.is_some() && steps < 50, "{steps} steps without divergence");
    let mut goes_on = wild(3);
    let rate = goes_on.learning_rate();
    while goes_on.divergence().restarts.is_empty() {
        assert!(goes_on.divergence().at.is_none());
        iterate(&mut goes_on, 1);
    }
    assert_eq!(goes_on.divergence().restarts, [steps as u64 - 1]);
    assert_eq!(goes_on.iteration() % goes_on.iterations_per_epoch() as u64, 0, "back at an epoch's end");
    assert!((goes_on.learning_rate() / rate - 0.3).abs() < 1e-12);
    let kept = goes_on.state().unwrap();
    iterate(&mut goes_on, 40);
    assert!(goes_on.divergence().restarts.len() <= 3);
    // The course that was changed to is kept in checkpoints.
    let mut resumed = wild(3);
    resumed.restore(&kept).unwrap();
    iterate(&mut resumed, 40);
    assert_eq!(resumed.divergence(), goes_on.divergence());
    assert!(bytes(&resumed) == bytes(&goes_on));
}

/// Three clusters at 2 e_0, 2 e_1 and 2 e_2, centred, in ten dimensions; moved by `shift`.
fn clusters(n: usize, shift: f64, rng: &mut Rng) -> Vec<f64> {
    let moved = [0.4, 0.0, 0.0, 0.8, 0.8, 0.8, 0.0, 0.0, 0.0, 0.0];
    let at = |i: usize, j: usize| {
        if j == i % 3 {
            4.0 / 3.0
        } else if j < 3 {
            -2.0 / 3.0
        } else {
            0.0
        }
    };
    let cell = |i: usize| (0..10).map(|j| at(i, j) + 0.3 * rng.normal() + shift * moved[j]).collect::<Vec<_>>();
    (0..n).flat_map(cell).collect()
}

fn column_means(x: &[f64]) -> Vec<f64> {
    let n = (x.len() / 10) as f64;
    (0..10).map(|j| x.iter().skip(j).step_by(10).sum::<f64>() / n).collect()
}

#[test]
fn check_25_a_shifted_query_is_moved_onto_the_reference() {
    let mut rng = Stream::new(2, stream::SIMULATE).rng();
    let (reference, query) = (clusters(3000, 0.0, &mut rng), clusters(1000, 1.0, &mut rng));
    let mean = column_means(&reference);
    let std: Vec<f64> = (0..10)
        .map(|j| (reference.iter().skip(j).step_by(10).map(|v| (v - mean[j]).powi(2)).sum::<f64>() / 3000.0).sqrt())
        .collect();
    let scaled = |x: &[f64]| -> Vec<f32> {
        x.chunks(10).flat_map(|r| (0..10).map(|j| ((r[j] - mean[j]) / std[j]) as f32).collect::<Vec<_>>()).collect()
    };
    let device = Device::cpu(2);
    let config = CorrectConfig::default();
    let found = correct(&scaled(&reference), &scaled(&query), 10, &config, 0, &device, &mut |_, _| Ok(())).unwrap();
    let back = |x: &[f32]| -> Vec<f64> {
        x.chunks(10).flat_map(|r| (0..10).map(|j| f64::from(r[j]) * std[j] + mean[j]).collect::<Vec<_>>()).collect()
    };
    let corrected = back(&found.x);
    let offset = |x: &[f64]| column_means(x).iter().zip(&mean).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    // Among as many cells of each batch.
    let mixing = |x: &[f64]| {
        let both = [&reference[..10_000], x].concat();
        let near = knn(&both, 10, 15).unwrap();
        let other = |i: usize| near.row(i).0.iter().filter(|&&j| (j < 1000) != (i < 1000)).count();
        (0..2000).map(other).sum::<usize>() as f64 / 30_000.0
    };
    let labels_kept = |x: &[f64]| {
        let near = knn_query(x, &reference, 10, 15).unwrap();
        let right = |i: usize| {
            let votes = (0..3).map(|c| near.row(i).0.iter().filter(|&&j| j % 3 == c).count());
            votes.enumerate().max_by_key(|&(_, v)| v).map(|(c, _)| c) == Some(i % 3)
        };
        (0..1000).filter(|&i| right(i)).count() as f64 / 1000.0
    };
    let (before, after) = (offset(&query), offset(&corrected));
    println!(
        "{} iterations: offset {before:.3} to {after:.3}, mixing {:.3} to {:.3}, labels kept {:.3} to {:.3}",
        found.iterations,
        mixing(&query),
        mixing(&corrected),
        labels_kept(&query),
        labels_kept(&corrected)
    );
    assert!(after <= 0.3 * before, "offset {before} to {after}");
    assert!(mixing(&query) < 0.1 && mixing(&corrected) >= 0.3);
    assert!(labels_kept(&corrected) >= 0.95);
    assert_eq!(found.snapshots[0], scaled(&query));
    assert!(found.snapshots.iter().all(|s| s.len() == found.x.len()) && found.divergence.at.is_none());
}
