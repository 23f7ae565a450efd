//! Several hundred damaged files, made on the spot from good ones: each ends in one clear line or,
//! where the damage says nothing false, in data that hang together; none in a panic or in memory
//! that its bytes do not justify.

use crate::files::{alone, symbols};
use crate::write;
use cytograd::data::h5ad::{self, Additions};
use cytograd::data::overview::Overview;
use cytograd::data::{Dense, Entry, Matrix, Which, open, results};
use hdf5::{File, Group, LocationType};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Everything that can be asked of a file; the error's text, or `None` if it was read.
fn attempt(path: &Path, what: &str) -> Option<String> {
    let read = || -> cytograd::Result<()> {
        let source = open(path)?;
        Overview::new(source.as_ref())?;
        let n = source.obs().n_rows();
        for stored in source.matrices() {
            source.rows(&stored.which, n / 2..n)?;
        }
        let data = source.dataset()?;
        assert_eq!((data.x.n_rows(), data.x.n_cols()), (data.obs.n_rows(), data.var.n_rows()));
        assert_eq!(data.x.row_sums().len(), n);
        data.obs.columns.iter().for_each(|(_, column)| assert_eq!(column.len(), n));
        source.matrix(&Which::X).map(drop)
    };
    let outcome = catch_unwind(AssertUnwindSafe(read));
    let error = outcome.unwrap_or_else(|_| panic!("{what}: a panic")).err()?;
    assert_eq!(error.exit_code(), 2, "{what}: {error}");
    let text = error.to_string();
    assert!(!text.contains('\n') && text.contains("; "), "{what}: one line with a fix: {text}");
    let name = path.file_name().unwrap().to_string_lossy();
    assert!(text.contains(name.as_ref()), "{what}: which file: {text}");
    Some(text)
}

/// The most memory that this process ever held, in MiB.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<usize>().ok()).map_or(0, |kb| kb / 1024)
}

/// Paths of all datasets and groups below a group.
fn nodes(group: &Group, path: &str, datasets: &mut Vec<String>, groups: &mut Vec<String>) {
    for name in group.member_names().unwrap() {
        let below = format!("{path}/{name}");
        if group.loc_type_by_name(&name).unwrap() == LocationType::Group {
            groups.push(below.clone());
            nodes(&group.group(&name).unwrap(), &below, datasets, groups);
        } else {
            datasets.push(below);
        }
    }
}

/// What can be put in the place of a dataset.
const REPLACEMENTS: [&str; 10] =
    ["gone", "text", "scalar", "short", "long", "two axes", "huge", "group", "negative", "large"];

fn replace(file: &File, node: &str, by: &str) {
    let (parent, name) = node.rsplit_once('/').unwrap();
    let parent = file.group(if parent.is_empty() { "/" } else { parent }).unwrap();
    let old = parent.dataset(name).unwrap();
    let (n, shape) = (old.size(), old.shape());
    parent.unlink(name).unwrap();
    match by {
        "gone" => {}
        "text" => write::texts(&parent, name, &vec!["x".to_owned(); n]),
        "scalar" => parent.new_dataset::<i64>().create(name).unwrap().write_scalar(&1).unwrap(),
        "short" => write::numbers(&parent, name, &vec![0i64; n.saturating_sub(1)]),
        "long" => write::numbers(&parent, name, &vec![0i64; n + 1]),
        "two axes" => parent.new_dataset::<i64>().shape((n.max(1), 2)).create(name).map(drop).unwrap(),
        "huge" => {
            let shape = if shape.len() == 2 { vec![1 << 20, 1 << 20] } else { vec![1usize << 40] };
            let chunk = if shape.len() == 2 { vec![1 << 10, 1 << 10] } else { vec![1 << 16] };
            parent.new_dataset::<f64>().chunk(chunk).shape(shape).create(name).map(drop).unwrap();
        }
        "group" => drop(parent.create_group(name).unwrap()),
        "negative" => write::numbers(&parent, name, &vec![-7i64; n]),
        "large" => write::numbers(&parent, name, &vec![i64::MAX - 3; n]),
        other => panic!("no replacement {other}"),
    }
}

/// A way to write a good file.
type Writer = (&'static str, fn(&Path));

const HDF5: [Writer; 5] = [
    ("current.h5ad", write::current),
    ("legacy.h5ad", write::legacy),
    ("v3.h5", write::tenx_v3),
    ("v2.h5", write::tenx_v2),
    ("some.loom", write::loom),
];

#[test]
fn datasets_of_wrong_types_shapes_and_sizes() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let before = peak();
    let (mut errors, mut read) = (0, 0);
    for (name, writer) in HDF5 {
        let good = scratch.path().join("good");
        writer(&good);
        let path = scratch.path().join(name);
        std::fs::copy(&good, &path).unwrap();
        assert_eq!(attempt(&path, name), None, "{name} is good");
        let (mut datasets, mut groups) = (Vec::new(), Vec::new());
        nodes(&File::open(&good).unwrap(), "", &mut datasets, &mut groups);
        for node in &datasets {
            for by in REPLACEMENTS {
                std::fs::copy(&good, &path).unwrap();
                replace(&File::open_rw(&path).unwrap(), node, by);
                let said = attempt(&path, &format!("{name}: {node} {by}"));
                // What makes the matrix must be right; a list of numbers may stand anywhere else.
                let vital = ["indptr", "indices"].iter().any(|part| node.ends_with(part)) && !node.contains("uns");
                if vital && !matches!(by, "short" | "long") {
                    assert!(said.is_some(), "{name}: {node} {by} was read");
                }
                *(if said.is_some() { &mut errors } else { &mut read }) += 1;
            }
        }
        for node in &groups {
            std::fs::copy(&good, &path).unwrap();
            let (parent, child) = node.rsplit_once('/').unwrap();
            let file = File::open_rw(&path).unwrap();
            file.group(if parent.is_empty() { "/" } else { parent }).unwrap().unlink(child).unwrap();
            drop(file);
            attempt(&path, &format!("{name}: no {node}"));
        }
    }
    println!("{errors} errors, {read} read");
    assert!(errors >= 200, "{errors} files ended in an error, {read} could be read");
    assert!(peak() < before + 512, "memory: {before} MiB before, {} MiB at most", peak());
}

#[test]
fn attributes_that_contradict_the_arrays() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5ad");
    for shape in
        [vec![12, 7], vec![13, 8], vec![0, 0], vec![-1, 8], vec![i64::MAX, 8], vec![12, i64::MAX], vec![12], vec![]]
    {
        write::current(&path);
        let file = File::open_rw(&path).unwrap();
        let group = file.group("X").unwrap();
        group.delete_attr("shape").unwrap();
        group.new_attr::<i64>().shape(shape.len()).create("shape").unwrap().write_raw(&shape).unwrap();
        drop((group, file));
        assert!(attempt(&path, &format!("shape {shape:?}")).is_some(), "{shape:?}");
    }
    for kind in ["", "csc_matrix", "coo_matrix", "array", "\u{1F9EC}"] {
        write::current(&path);
        let file = File::open_rw(&path).unwrap();
        let group = file.group("X").unwrap();
        group.delete_attr("encoding-type").unwrap();
        let value: hdf5::types::VarLenUnicode = kind.parse().unwrap();
        group.new_attr::<hdf5::types::VarLenUnicode>().create("encoding-type").unwrap().write_scalar(&value).unwrap();
        drop((group, file));
        assert!(attempt(&path, &format!("encoding {kind:?}")).is_some(), "{kind:?}");
    }
}

#[test]
fn a_file_that_holds_itself_is_not_followed_for_ever() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5ad");
    write::current(&path);
    let file = File::open_rw(&path).unwrap();
    file.link_hard("/uns", "/uns/uns").unwrap();
    drop(file);
    attempt(&path, "uns in uns");
}

/// HDF5 1.14 and 2.0 go round for ever on an object of no size among the texts of a file.
#[test]
fn texts_that_do_not_go_on_end_in_an_error() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let length = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at + 8..at + 16].try_into().unwrap()) as usize;
    for (name, writer) in HDF5 {
        let (path, out) = (scratch.path().join(name), scratch.path().join("out.h5ad"));
        writer(&path);
        let good = std::fs::read(&path).unwrap();
        let heaps: Vec<usize> = (0..good.len()).step_by(8).filter(|&at| good[at..].starts_with(b"GCOL")).collect();
        assert!(!heaps.is_empty(), "{name}");
        let mut errors = 0;
        for heap in heaps {
            let (mut at, end) = (heap + 16, heap + length(&good, heap));
            while at + 16 <= end {
                let mut bad = good.clone();
                bad[at..at + 16].fill(0);
                std::fs::write(&path, &bad).unwrap();
                if let Some(said) = attempt(&path, &format!("{name}: no size at byte {at}")) {
                    assert!(said.contains(&format!("the global heap at byte {heap} is damaged")), "{said}");
                    errors += 1;
                }
                // What no reader looks at may be met by the writer, or be copied as it is.
                let _ = results::write(&path, &out, &Additions::default(), None);
                let free = good[at] == 0 && good[at + 1] == 0;
                let own = length(&good, at);
                at += if free { own } else { 16 + own.next_multiple_of(8) };
            }
        }
        assert!(errors > 0, "{name}");
    }
}

/// HDF5 makes room for whatever length a text declares, and copies whatever length its heap declares.
#[test]
fn texts_of_wrong_lengths_end_in_an_error_and_take_no_memory() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let before = peak();
    for (name, writer) in HDF5 {
        let path = scratch.path().join(name);
        writer(&path);
        let good = std::fs::read(&path).unwrap();
        let heaps: Vec<usize> = (0..good.len()).step_by(8).filter(|&at| good[at..].starts_with(b"GCOL")).collect();
        let mut errors = 0;
        // An element: length, address of the heap, index in it.
        for at in (4..good.len() - 12).step_by(2) {
            let address = u64::from_le_bytes(good[at..at + 8].try_into().unwrap());
            let length = u32::from_le_bytes(good[at - 4..at].try_into().unwrap());
            if !heaps.contains(&(address as usize)) || !(1..1000).contains(&length) {
                continue;
            }
            for wrong in [u32::MAX, good.len() as u32, length + 1, length - 1, 1 << 30] {
                let mut bad = good.clone();
                bad[at - 4..at].copy_from_slice(&wrong.to_le_bytes());
                std::fs::write(&path, &bad).unwrap();
                let said = attempt(&path, &format!("{name}: text of {wrong} bytes at {at}"));
                errors += usize::from(said.is_some_and(|said| said.contains(&format!("{wrong} bytes"))));
            }
        }
        assert!(errors > 10, "{name}: {errors}"); // an old file has most of its texts in records
    }
    assert!(peak() < before + 128, "memory: {before} MiB before, {} MiB at most", peak());
}

/// HDF5 1.14 hands over what its buffer happens to hold when it is asked again for a block that could
/// not be read.
#[test]
fn texts_that_cannot_be_read_are_not_asked_for_twice() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.loom");
    write::loom(&path);
    let names = File::open(&path).unwrap().dataset("col_attrs/CellID").unwrap().offset().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|w| w == what).unwrap();
    // The list of texts is said to stand where their bytes stand, which the guard finds damaged.
    let heap = find(&bytes, b"GCOL");
    let at = find(&bytes, &names.to_le_bytes());
    bytes[at..at + 8].copy_from_slice(&(heap as u64).to_le_bytes());
    bytes[heap + 16..heap + 32].fill(0);
    std::fs::write(&path, &bytes).unwrap();
    let said = attempt(&path, "texts in a damaged heap").unwrap();
    assert!(said.contains("/col_attrs/CellID") && said.contains(&format!("the global heap at byte {heap}")), "{said}");
}

#[test]
fn an_empty_matrix_of_endless_cells_is_damage() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.loom");
    let file = File::create(&path).unwrap();
    file.new_dataset::<f32>().chunk((1, 4)).shape((0, 1 << 40)).create("matrix").unwrap();
    for attributes in ["row_attrs", "col_attrs"] {
        file.create_group(attributes).unwrap();
    }
    drop(file);
    let said = attempt(&path, "cells without names").unwrap();
    assert!(said.contains("/matrix: declares an array of shape [0, 1099511627776] but holds 0 bytes"), "{said}");
}

#[test]
fn names_that_are_no_text_are_read_without_harm() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("names.h5ad");
    write::legacy(&path);
    let good = std::fs::read(&path).unwrap();
    for name in ["n_counts", "n_cells", "numbers", "raw.X"] {
        let mut bytes = good.clone();
        let places = good.windows(name.len()).enumerate().filter(|(_, w)| *w == name.as_bytes());
        let places: Vec<usize> = places.map(|(at, _)| at).collect();
        assert!(!places.is_empty(), "{name}");
        // The first byte of four, and no more come.
        places.iter().for_each(|at| bytes[at + name.len() - 1] = 0xf0);
        std::fs::write(&path, bytes).unwrap();
        attempt(&path, name);
    }
}

/// A `bool` of Rust is 0 or 1; what a damaged file has for one need not be.
#[test]
fn booleans_that_are_neither_true_nor_false_are_read_and_copied_by_their_numbers() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let (path, out) = (scratch.path().join("x.h5ad"), scratch.path().join("out.h5ad"));
    write::current(&path);
    let file = File::open_rw(&path).unwrap();
    let mut places = Vec::new();
    for (group, name) in [("X", "data"), ("obsm", "flags")] {
        let group = file.group(group).unwrap();
        let shape = match group.dataset(name) {
            Ok(old) => old.shape(),
            Err(_) => vec![12, 2],
        };
        let _ = group.unlink(name);
        let n: usize = shape.iter().product();
        let flags = group.new_dataset::<bool>().shape(shape).create(name).unwrap();
        flags.write_raw(&vec![true; n]).unwrap();
        places.push((flags.offset().unwrap() as usize, n));
    }
    file.close().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    places.iter().for_each(|&(at, n)| bytes[at..at + n].copy_from_slice(&[2, 0xff].repeat(n)[..n]));
    std::fs::write(&path, &bytes).unwrap();
    let whole = open(&path).unwrap().dataset().unwrap();
    h5ad::add_to_copy(&path, &out, &Additions::default(), Some(&[1, 5])).unwrap();
    let copied = open(&out).unwrap().dataset().unwrap();
    assert!(whole.x.to_csr().unwrap().values().iter().all(|&v| v == 1.0));
    assert_eq!(copied.x.to_csr().unwrap(), whole.x.select_rows(&[1, 5]).to_csr().unwrap());
    let flags = &copied.obsm.iter().find(|(name, _)| name == "flags").unwrap().1;
    assert_eq!(*flags, Entry::Matrix(Matrix::Dense(Dense::new(2, 2, vec![1.0; 4]).unwrap())));
    // The copy has what everybody takes for true.
    let out = File::open(&out).unwrap();
    for name in ["X/data", "obsm/flags"] {
        assert!(out.dataset(name).unwrap().read_raw::<i8>().unwrap().iter().all(|&number| number == 1), "{name}");
    }
}

#[test]
fn seeds_of_the_fuzz_targets_are_good_files() {
    let _turn = alone();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (target, format) in [("h5ad", "h5ad"), ("tenx_hdf5", "10x HDF5"), ("loom", "loom"), ("delimited", "")] {
        let files: Vec<PathBuf> = std::fs::read_dir(corpus.join(target)).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(!files.is_empty(), "{target}");
        for path in files {
            assert_eq!(attempt(&path, target), None, "{}", path.display());
            assert!(open(&path).unwrap().format().starts_with(format), "{}", path.display());
        }
    }
}

/// Where a file is cut: at each end, around every power of two, and at many places between.
fn cuts(length: usize, n: usize) -> Vec<usize> {
    let mut at: Vec<usize> = (0..n).map(|i| i * length / n).collect();
    at.extend((3..20).map(|k| 1usize << k).flat_map(|p| [p - 1, p]).filter(|&p| p < length));
    at.push(length - 1);
    at
}

#[test]
fn files_cut_short_anywhere() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    for (name, writer) in HDF5 {
        let path = scratch.path().join(name);
        writer(&path);
        let bytes = std::fs::read(&path).unwrap();
        for keep in cuts(bytes.len(), 40) {
            std::fs::write(&path, &bytes[..keep]).unwrap();
            assert!(attempt(&path, &format!("{name} cut at {keep}")).is_some(), "{name} cut at {keep} was read");
        }
    }
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

#[test]
fn damaged_text() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { scratch.path().join(name) };
    write::csv(&at("x.csv"));
    let table = std::fs::read(at("x.csv")).unwrap();
    let gz = packed(&table);
    for keep in cuts(gz.len(), 30) {
        std::fs::write(at("x.csv.gz"), &gz[..keep]).unwrap();
        assert!(attempt(&at("x.csv.gz"), &format!("gz cut at {keep}")).is_some(), "{keep}");
    }
    for i in 0..60 {
        let mut flipped = gz.clone();
        flipped[10 + i * (gz.len() - 10) / 60] ^= 1 << (i % 8);
        std::fs::write(at("x.csv.gz"), flipped).unwrap();
        assert!(attempt(&at("x.csv.gz"), &format!("gz flip {i}")).is_some(), "{i}");
    }
    for i in 0..200 {
        let mut flipped = table.clone();
        flipped[i * table.len() / 200] ^= 1 << (i % 8);
        std::fs::write(at("x.csv"), flipped).unwrap();
        attempt(&at("x.csv"), &format!("csv flip {i}"));
    }
    // Lines that never end, numbers that are none, names that are no text.
    for (content, what) in [
        (b"a,b\n\xff\xfe,1\n".to_vec(), "bytes that are no text"),
        (b",".repeat(100_000), "nothing but separators"),
        (b"\n".repeat(1000), "nothing but line ends"),
        (b"\"".repeat(1001), "an open quote"),
        (b"a,b\nc,1e999\nd,2\n".to_vec(), "a number beyond all"),
        (b"a\tb\nx\t1\ty\n".to_vec(), "ragged"),
    ] {
        std::fs::write(at("x.csv"), content).unwrap();
        attempt(&at("x.csv"), what);
    }
}

#[test]
fn damaged_matrix_market_folders() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("sample");
    let cells: Vec<String> = (0..6).map(|i| format!("cell{i}")).collect();
    write::folder(&folder, &symbols(5), &cells);
    let good = std::fs::read_to_string(folder.join("matrix.mtx")).unwrap();
    let head = "%%MatrixMarket matrix coordinate integer general\n";
    let n = good.lines().count() - 3;
    let swap = |from: &str, to: &str| good.replacen(from, to, 1);
    let bad = [
        String::new(),
        head.to_owned(),
        format!("{head}5 6\n"),
        format!("{head}5 6 1\n0 1 1\n"),
        format!("{head}5 6 1\n1 7 1\n"),
        format!("{head}5 6 1\n6 1 1\n"),
        format!("{head}5 6 1\n-1 1 1\n"),
        format!("{head}5 6 1\n1 1 one\n"),
        format!("{head}5 6 1\n1 1\n"),
        format!("{head}5 6 2\n1 1 1\n"),
        format!("{head}5 6 0\n1 1 1\n"),
        format!("{head}5 6 18446744073709551615\n1 1 1\n"),
        format!("{head}18446744073709551615 6 1\n1 1 1\n"),
        format!("{head}99999999999999999999999 6 1\n1 1 1\n"),
        format!("{head}4294967296 4294967296 1\n1 1 1\n"),
        swap("coordinate", "array"),
        swap("general", "symmetric"),
        swap("integer", "complex"),
        swap("%%MatrixMarket", "%%MatrixMarked"),
        swap(&format!("5 6 {n}"), &format!("5 6 {}", n + 1)),
        swap(&format!("5 6 {n}"), &format!("5 7 {n}")),
        good[..good.len() / 2].to_owned(),
        good[..good.len() - 3].to_owned(),
    ];
    for text in bad {
        std::fs::write(folder.join("matrix.mtx"), &text).unwrap();
        let path = folder.join("matrix.mtx");
        assert!(attempt(&path, &text).is_some(), "read: {text}");
    }
    let gz = packed(good.as_bytes());
    std::fs::remove_file(folder.join("matrix.mtx")).unwrap();
    for keep in cuts(gz.len(), 20).into_iter().filter(|&k| k > 2) {
        std::fs::write(folder.join("matrix.mtx.gz"), &gz[..keep]).unwrap();
        assert!(attempt(&folder.join("matrix.mtx.gz"), &format!("gz cut at {keep}")).is_some(), "{keep}");
    }
}

#[test]
fn flipped_bytes_in_hdf5() {
    let _turn = alone();
    if std::env::var("CYTOGRAD_CHILD").is_err() {
        // In a process of its own: what a damaged file does to the C library must not touch the
        // other tests.
        let test = "malformed::flipped_bytes_in_hdf5";
        let this = std::env::current_exe().unwrap();
        let mut child = std::process::Command::new(this);
        child.args(["--exact", test, "--nocapture"]).env("CYTOGRAD_CHILD", "1");
        let output = child.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{:?}: {}", output.status, &said[said.len().saturating_sub(2000)..]);
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let mut errors = 0;
    for (name, writer) in HDF5 {
        let path = scratch.path().join(name);
        writer(&path);
        let bytes = std::fs::read(&path).unwrap();
        for i in 0..150 {
            let mut flipped = bytes.clone();
            let at = i * bytes.len() / 150;
            flipped[at] ^= [0xff, 0x01, 0x80, 0x10][i % 4];
            std::fs::write(&path, flipped).unwrap();
            let what = format!("{name}: byte {at}");
            eprintln!("{what}");
            errors += usize::from(attempt(&path, &what).is_some());
        }
    }
    assert!(errors > 50, "{errors} errors");
}
