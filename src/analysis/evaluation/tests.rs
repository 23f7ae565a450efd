//! What the report must say, on queries small enough to check by hand.

use super::*;

fn names(labels: &[&str]) -> Vec<Option<String>> {
    labels.iter().map(|l| (!l.is_empty()).then(|| l.to_string())).collect()
}

struct Query {
    truth: Vec<Option<String>>,
    predicted: Vec<Option<String>>,
    probability: Vec<f64>,
    log_density: Vec<f64>,
    flagged: Vec<bool>,
    known: Vec<String>,
}

impl Query {
    fn annotations(&self) -> Annotations<'_> {
        Annotations {
            truth: &self.truth,
            predicted: &self.predicted,
            probability: &self.probability,
            log_density: Some(&self.log_density),
            scores: &[],
            flagged: Some(&self.flagged),
            known: &self.known,
        }
    }
}

/// Types B (3 cells, one wrong) and T (2), unknown type M (2), one cell without truth, one without a
/// label; the model also knows NK, which the query lacks.
fn query() -> Query {
    Query {
        truth: names(&["B", "B", "B", "T", "T", "M", "M", "", "T"]),
        predicted: names(&["B", "B", "T", "T", "T", "B", "T", "T", ""]),
        probability: vec![0.93, 0.83, 0.74, 0.62, 0.62, 0.5, 0.74, 0.9, f64::NAN],
        log_density: vec![5.0, 4.0, 3.0, 2.0, 6.0, 1.0, 2.0, f64::NAN, f64::NAN],
        flagged: vec![false, false, true, false, false, true, false, false, false],
        known: ["T", "B", "NK"].map(String::from).to_vec(),
    }
}

#[test]
fn known_cells_are_judged_by_label_and_probability() {
    let e = Evaluation::new(query().annotations()).unwrap();
    assert_eq!((e.cells, e.without_truth, e.not_annotated, e.known_cells, e.unknown_cells), (7, 1, 1, 5, 2));
    assert_eq!(e.accuracy, 0.8);
    assert!((e.balanced_accuracy - (2.0 / 3.0 + 1.0) / 2.0).abs() < 1e-15);
    // Equal width: 0.07, 0.17, 0.74 and twice 0.38, over five cells.
    assert!((e.ece_equal_width - (0.07 + 0.17 + 0.74 + 0.76) / 5.0).abs() < 1e-12);
    assert_eq!(e.ece_equal_width, e.ece_equal_mass);
}

#[test]
fn scores_are_judged_by_how_they_rank_known_cells() {
    let e = Evaluation::new(query().annotations()).unwrap();
    let by_name = |name: &str| e.detection.iter().find(|d| d.score == name).unwrap().clone();
    // log p: known 5 4 3 2 6 against 1 2; one tie. max p: .93 .83 .74 .62 .62 against .5 .74.
    assert!((by_name("log p(x)").auroc - 9.5 / 10.0).abs() < 1e-15);
    assert!((by_name("max p(y|x)").auroc - (5.0 + 2.5) / 10.0).abs() < 1e-15);
    assert_eq!((by_name("log p(x)").known, by_name("log p(x)").unknown), (5, 2));
    // Unknown cells first from below: 1 (precision 1), then 2 tied with a known cell (2/3).
    assert!((by_name("log p(x)").average_precision_unknown - (1.0 + 2.0 / 3.0) / 2.0).abs() < 1e-15);
}

#[test]
fn flags_and_types_are_counted() {
    let e = Evaluation::new(query().annotations()).unwrap();
    let flagging = e.flagging.clone().unwrap();
    assert_eq!(flagging, Flagging { known_flagged: 0.2, unknown_flagged: 0.5, accuracy_kept: 1.0 });
    let types: Vec<(&str, bool, usize)> = e.types.iter().map(|t| (t.label.as_str(), t.known, t.cells)).collect();
    assert_eq!(types, vec![("T", true, 2), ("B", true, 3), ("M", false, 2)]);
    assert_eq!(e.types[2].detection, e.detection);
    assert_eq!(e.confusion.counts, vec![vec![2, 0, 1], vec![0, 2, 0], vec![0, 0, 0], vec![0, 1, 1]]);
    assert_eq!(e.confusion.counts_without_flagging[0], vec![2, 1, 1]);
    for column in 0..3 {
        let sum: f64 = e.confusion.fractions.iter().map(|row| row[column]).sum();
        assert!((sum - 1.0).abs() < 1e-12);
    }
}

#[test]
fn text_shows_every_section_and_json_every_field() {
    let e = Evaluation::new(query().annotations()).unwrap();
    let text = e.to_string();
    for line in [
        "7 cells evaluated: 5 of 2 known types, 2 of 1 unknown type",
        "  accuracy            0.8000",
        "  a = M (unknown)",
    ] {
        assert!(text.lines().any(|l| l == line), "{line:?} is missing from\n{text}");
    }
    assert!(text.contains("log p(x)") && text.contains("flagged as unlike the reference"));
    let json = serde_json::to_value(&e).unwrap();
    assert_eq!(json["accuracy"], 0.8);
    assert!(json["types"][2]["recall"].is_null(), "undefined figures are null");
    assert_eq!(json["confusion"]["counts"][3][2], 1);
}

#[test]
fn without_unknown_cells_or_density_the_rest_stands() {
    let q = query();
    let known: Vec<String> = ["B", "T", "M"].map(String::from).to_vec();
    let cells = Annotations { known: &known, log_density: None, flagged: None, ..q.annotations() };
    let e = Evaluation::new(cells).unwrap();
    assert!(e.detection.is_empty() && e.flagging.is_none());
    assert_eq!(e.accuracy, 4.0 / 7.0);
    assert!(e.to_string().contains("unknown cells: none"));
    let all_unknown = names(&["X"; 9]);
    let e = Evaluation::new(Annotations { truth: &all_unknown, log_density: None, ..q.annotations() }).unwrap();
    assert!(e.accuracy.is_nan() && e.detection[0].auroc.is_nan());
    assert!(e.to_string().contains("accuracy            -"));
}

#[test]
fn bad_input_is_said_in_one_line() {
    let q = query();
    let nobody = names(&[""; 9]);
    let error = |cells| Evaluation::new(cells).unwrap_err().to_string();
    assert!(error(Annotations { truth: &nobody, ..q.annotations() }).contains("none has both"));
    assert!(error(Annotations { probability: &[0.5], ..q.annotations() }).contains("9 probabilities"));
    let broken = vec![f64::NAN; 9];
    assert!(error(Annotations { log_density: Some(&broken), ..q.annotations() }).contains("log p(x) of cell 0"));
}
