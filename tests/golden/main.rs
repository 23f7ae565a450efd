//! Values that trusted peers computed, one module per topic of the golden folder.
//!
//! Every test's name starts with `golden_`, so that `cargo test --release golden` runs exactly
//! these. Cases are enumerated from the files; an op that a module does not know is a failure.
//! Without the folder (`CYTOGRAD_SHARED`, default `../shared`) a test says that it skips.

mod chi2;
mod distributions;
mod embed;
mod embedding_inputs;
mod harmony;
mod metrics;
mod mmd;
mod ops;
mod optim;
mod preprocess;
mod rng;
mod second_order;
mod special;
mod store;

#[test]
fn golden_store_reads_every_topic() {
    for topic in ["ops", "second_order", "distributions", "optim", "metrics", "mmd", "harmony", "preprocess"] {
        let Some(topic) = store::Topic::open(topic) else { return };
        let cases = topic.cases();
        assert!(!cases.is_empty());
        let (_, array) = cases[0].arrays().next().expect("the first case has arrays");
        assert_eq!(array.data.len(), array.shape.iter().product::<usize>());
    }
}
