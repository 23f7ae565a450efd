//! `cytograd bench`, at sizes that only show that it works.

use crate::place::Place;

#[test]
fn bench_prints_every_measurement_beside_its_ceiling() {
    let place = Place::new();
    let said = place.ok("bench --quick --json --csv rates.csv");
    let rows = said.json()["rows"].as_array().expect("rows").clone();
    for name in ["gemm", "spmm", "zinb", "mmd", "sgld", "normal", "add", "exp", "train"] {
        let row = rows.iter().find(|row| row["what"].as_str().is_some_and(|w| w.starts_with(name)));
        let row = row.unwrap_or_else(|| panic!("{name} is missing"));
        for key in ["seconds", "rate", "ceiling", "share"] {
            assert!(row[key].as_f64().is_some_and(|v| v > 0.0), "{name}: {key} is {}", row[key]);
        }
        let waits = row["waits"].as_f64().expect("a number");
        assert_eq!(waits, if name == "train" { 1.0 / 16.0 } else { 0.0 }, "{name}: waits of the host");
    }
    let text = std::fs::read_to_string(place.path("rates.csv")).expect("the table");
    assert!(text.starts_with("what,seconds,rate,unit,ceiling,share,launches,waits\n"), "{text}");
    assert_eq!(text.lines().count(), rows.len() + 1);
}

#[test]
fn bench_measures_what_is_named() {
    let place = Place::new();
    let table = place.ok("bench --quick sgld --device reference").stdout;
    assert!(table.contains("sgld") && !table.contains("gemm") && table.contains("of the ceiling"), "{table}");
    place.fails("bench sgld warp", 2, &["warp", "gemm"]);
}
