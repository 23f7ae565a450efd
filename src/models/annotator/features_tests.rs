use super::super::cells::Expression;
use super::*;
use crate::data::Table;
use crate::models::run::State;
use crate::rng::{Stream, stream};

/// `n` cells of 3 types and `genes` genes; `shift` multiplies every third gene.
fn expression(n: usize, genes: usize, shift: f32, part: u32) -> Expression {
    let mut rng = Stream::new(1, stream::TEST).part(part).rng();
    let mut dense = Vec::new();
    for cell in 0..n {
        for gene in 0..genes {
            let mean = if gene % 3 == cell % 3 { 6.0 } else { 1.0 } * if gene % 5 == 0 { shift } else { 1.0 };
            dense.push((mean * 2.0 * rng.uniform()).round());
        }
    }
    Expression {
        x: Csr::from_dense(n, genes, &dense).unwrap(),
        cells: (0..n).map(|i| format!("c{part}-{i}")).collect(),
        var: Table::new((0..genes).map(|g| format!("Gene{g}")).collect()),
        place: format!("part{part}: X"),
    }
}

fn reference(n: usize) -> Reference {
    let y = (0..n).map(|i| (i % 3) as u32).collect();
    let classes = ["a", "b", "c"].map(String::from).to_vec();
    Reference { expression: expression(n, 40, 1.0, 0), y, classes, batch: None }
}

fn query(n: usize) -> Query {
    Query { expression: expression(n, 40, 3.0, 1), batch: None }
}

fn small() -> FeatureConfig {
    FeatureConfig { n_pcs: 5, ..FeatureConfig::default() }
}

fn run(config: &FeatureConfig, query: Option<&Query>) -> Prepared {
    let train: Vec<usize> = (0..90).filter(|i| i % 10 != 0).collect();
    fit(&reference(90), query, &train, config, &mut |w| panic!("unexpected warning {w}")).unwrap()
}

/// Mean distance between the batches relative to the distance between types.
fn offset(p: &Prepared) -> f64 {
    let mean = |x: &[f32], kind: usize| -> Vec<f64> {
        let rows: Vec<&[f32]> = x.chunks(p.width).skip(kind).step_by(3).collect();
        (0..p.width).map(|j| rows.iter().map(|r| f64::from(r[j])).sum::<f64>() / rows.len() as f64).collect()
    };
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    let query = p.query.as_ref().unwrap();
    let batch: f64 = (0..3).map(|k| distance(&mean(&p.reference, k), &mean(query, k))).sum();
    let types: f64 = (0..3).map(|k| distance(&mean(&p.reference, k), &mean(&p.reference, (k + 1) % 3))).sum();
    batch / types
}

#[test]
fn harmony_takes_the_batch_off_and_leaves_the_types() {
    let query = query(60);
    let with = run(&small(), Some(&query));
    let without = run(&FeatureConfig { harmony: None, ..small() }, Some(&query));
    assert_eq!((with.width, with.reference.len(), with.query.as_ref().unwrap().len()), (5, 450, 300));
    assert_eq!(
        (with.report.batches.as_slice(), with.report.shared_genes),
        (["query", "reference"].map(String::from).as_slice(), Some(40))
    );
    assert!(without.report.batches.is_empty());
    assert!(offset(&with) < 0.5 * offset(&without), "{} {}", offset(&with), offset(&without));
}

#[test]
fn scaling_learns_from_training_cells_only() {
    let train: Vec<usize> = (0..90).filter(|i| i % 10 != 0).collect();
    let moments = |p: &Prepared, j: usize| {
        let v: Vec<f64> = train.iter().map(|&r| f64::from(p.reference[r * p.width + j])).collect();
        let mean = v.iter().sum::<f64>() / v.len() as f64;
        (mean, (v.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / v.len() as f64).sqrt())
    };
    let z = run(&small(), None);
    for j in 0..5 {
        let (mean, std) = moments(&z, j);
        assert!(mean.abs() < 1e-5 && (std - 1.0).abs() < 1e-5, "{mean} {std}");
    }
    let global = run(&FeatureConfig { feature_scale: FeatureScale::Global, ..small() }, None);
    let stds: Vec<f64> = (0..5).map(|j| moments(&global, j).1).collect();
    let all = stds.iter().map(|s| s * s).sum::<f64>() / 5.0;
    assert!((all - 1.0).abs() < 1e-5 && stds[0] > 1.2 * stds[4], "{stds:?}");
}

#[test]
fn a_model_read_back_projects_the_reference_onto_itself() {
    let prepared = run(&FeatureConfig { harmony: None, ..small() }, None);
    let mut state = State::default();
    prepared.model.save(&mut state).unwrap();
    let state = State::from_bytes(&state.to_bytes().unwrap()).unwrap();
    let model = FeatureModel::load(&state, &prepared.model.genes).unwrap();
    assert_eq!(model, prepared.model);
    let own = Query { expression: reference(90).expression, batch: None };
    let back = model.project(&own, 0.0, &mut |w| panic!("{w}")).unwrap();
    let worst = back.x.iter().zip(&prepared.reference).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    // What differs is the rounding of the model file.
    assert!(worst < 1e-3 && !back.corrected, "{worst}");
}

#[test]
fn a_query_not_at_hand_is_mapped_onto_the_reference() {
    let late = query(60);
    let plain = run(&FeatureConfig { harmony: None, ..small() }, None);
    let mapped = run(&small(), None);
    let mut state = State::default();
    mapped.model.save(&mut state).unwrap();
    assert_eq!(FeatureModel::load(&state, &mapped.model.genes).unwrap(), mapped.model);
    let project = |p: &Prepared| {
        let projected = p.model.project(&late, 0.0, &mut |w| panic!("{w}")).unwrap();
        let corrected = projected.corrected;
        (offset(&Prepared { query: Some(projected.x), ..p.clone() }), corrected)
    };
    let ((before, uncorrected), (after, corrected)) = (project(&plain), project(&mapped));
    assert!(corrected && !uncorrected && after < 0.5 * before, "{before} {after}");
}

#[test]
fn genes_that_a_late_query_lacks_do_not_shift_it() {
    let p = run(&FeatureConfig { harmony: None, ..small() }, None);
    let mut own = Query { expression: reference(90).expression, batch: None };
    let keep: Vec<usize> = (0..36).collect();
    own.expression.x = own.expression.x.select_cols(&keep);
    own.expression.var = own.expression.var.select_rows(&keep);
    let back = p.model.project(&own, 0.0, &mut |_| ()).unwrap();
    assert_eq!(back.genes.matched, 36);
    // The leading component tells types apart; losing a tenth of the genes must not turn it.
    let (mut dot, mut a2, mut b2, mut shift) = (0.0, 0.0, 0.0, 0.0);
    for (a, b) in back.x.chunks(5).zip(p.reference.chunks(5)) {
        (dot, a2, b2, shift) = (dot + a[0] * b[0], a2 + a[0] * a[0], b2 + b[0] * b[0], shift + a[0] - b[0]);
    }
    assert!(dot / (a2 * b2).sqrt() > 0.98 && (shift / 90.0).abs() < 0.1, "{} {}", dot / (a2 * b2).sqrt(), shift / 90.0);
}

#[test]
fn a_query_with_few_genes_is_warned_about_and_with_none_refused() {
    let mut few = query(30);
    let keep: Vec<usize> = (0..15).collect();
    few.expression.x = few.expression.x.select_cols(&keep);
    few.expression.var = few.expression.var.select_rows(&keep);
    let mut said = Vec::new();
    let train: Vec<usize> = (0..90).collect();
    fit(&reference(90), Some(&few), &train, &small(), &mut |w| said.push(w.to_owned())).unwrap();
    assert!(said[0].contains("only 15 of the reference's 40 genes (38 %)"), "{said:?}");
    few.expression.var = Table::new((0..15).map(|g| format!("ENSX{g}")).collect());
    let error = fit(&reference(90), Some(&few), &train, &small(), &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("shares no gene"), "{error}");
}

#[test]
fn empty_query_cells_are_marked_and_change_nothing_else() {
    let mut with = query(31);
    let mut dense = with.expression.x.to_dense();
    dense[..40].fill(0.0);
    with.expression.x = Csr::from_dense(31, 40, &dense).unwrap();
    let rows: Vec<usize> = (1..31).collect();
    let without = Query { expression: with.expression.select(&rows), batch: None };
    let (a, b) = (run(&small(), Some(&with)), run(&small(), Some(&without)));
    assert!(a.empty_query[0] && !a.empty_query[1..].contains(&true));
    assert_eq!(a.query.unwrap()[5..], b.query.unwrap()[..]);
    assert_eq!(a.reference, b.reference);
}

#[test]
fn logged_input_gives_the_features_of_its_counts() {
    let mut logged = reference(90);
    let (mut x, _) = normalize_total(&logged.expression.x, Target::Sum(1e4)).unwrap();
    log1p(&mut x);
    logged.expression.x = x;
    let train: Vec<usize> = (0..90).filter(|i| i % 10 != 0).collect();
    let a = fit(&logged, None, &train, &small(), &mut |_| ()).unwrap();
    let b = run(&small(), None);
    assert!(a.report.notes[0].contains("log1p normalised"), "{:?}", a.report.notes);
    // The totals differ, and with them the target: the leading components, which tell the types
    // apart, agree all the same.
    let leading = |p: &Prepared| -> Vec<f32> { p.reference.chunks(5).flat_map(|r| [r[0], r[1]]).collect() };
    let (a, b) = (leading(&a), leading(&b));
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let cosine = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
    assert!(cosine > 0.8, "{cosine}");
}

#[test]
fn genes_as_features_are_as_many_as_genes() {
    let p = run(&FeatureConfig { features: Features::Genes, ..small() }, Some(&query(30)));
    assert_eq!((p.width, p.reference.len()), (40, 3600));
}

#[test]
fn class_scores_stand_beside_the_components() {
    let config = FeatureConfig { class_scores: true, harmony: None, ..small() };
    let p = run(&config, None);
    let plain = run(&FeatureConfig { class_scores: false, ..config }, None);
    assert_eq!((p.width, plain.width), (8, 5));
    let score = |row: usize, class: usize| p.reference[row * 8 + 5 + class];
    let own = (0..90).filter(|&r| (0..3).all(|c| score(r, r % 3) >= score(r, c))).count();
    assert!(own > 80, "{own}");
    // A model read back gives new cells the same, but reference cells have the score of a fit without them.
    let mut state = State::default();
    p.model.save(&mut state).unwrap();
    let model = FeatureModel::load(&state, &p.model.genes).unwrap();
    assert_eq!(model, p.model);
    let own = Query { expression: reference(90).expression, batch: None };
    let back = model.project(&own, 0.0, &mut |w| panic!("{w}")).unwrap();
    for (row, (a, b)) in back.x.chunks(8).zip(p.reference.chunks(8)).enumerate() {
        let apart = |part: std::ops::Range<usize>| part.map(|j| (a[j] - b[j]).abs()).fold(0.0, f32::max);
        assert!(apart(0..5) < 1e-3 && apart(5..8) > 1e-3, "cell {row}: {a:?} {b:?}");
    }
}
