//! Writes the seed corpus, with the writers that the tests use: `cargo run --example seeds` in `fuzz/`.

#[path = "../../tests/readers/everything.rs"]
mod everything;
#[path = "../../tests/readers/files.rs"]
#[allow(dead_code)]
mod files;
#[path = "../../tests/readers/write.rs"]
mod write;

use cytograd::data::{Csr, Dataset, Matrix, Table};
use cytograd::models::run::{Manifest, State};
use hdf5::types::TypeDescriptor::{Boolean, Float, Integer, Unsigned};
use hdf5::{DatasetBuilder, File, Group};
use std::path::{Path, PathBuf};

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let at = |target: &str, name: &str| -> PathBuf {
        std::fs::create_dir_all(corpus.join(target)).expect("a folder");
        corpus.join(target).join(name)
    };
    let tiny = |path: &Path| {
        let names = |kind: &str| Table::new((1..3).map(|i| format!("{kind}{i}")).collect());
        let x = Csr::from_dense(2, 2, &[0.0, 3.0, 1.0, 0.0]).expect("sizes fit");
        let data = Dataset::new(Matrix::Csr(x), names("c"), names("g")).expect("sizes fit");
        cytograd::data::h5ad::write(path, &data).expect("written");
    };
    let everything = |path: &Path| cytograd::data::h5ad::write(path, &everything::everything()).expect("written");
    let hdf5: [(&str, &str, &dyn Fn(&Path)); 7] = [
        ("h5ad", "tiny", &tiny),
        ("h5ad", "current", &write::current),
        ("h5ad", "everything", &everything),
        ("h5ad", "legacy", &write::legacy),
        ("tenx_hdf5", "v2", &write::tenx_v2),
        ("tenx_hdf5", "v3", &write::tenx_v3),
        ("loom", "loom", &write::loom),
    ];
    for (target, name, write) in hdf5 {
        let good = tempfile::NamedTempFile::new().expect("a file");
        write(good.path());
        let again = |change: &str, newest, pack| {
            let to = at(target, &format!("{name}{change}"));
            write_again(good.path(), &to, newest, pack).expect("written again");
        };
        again("", false, None);
        if name != "everything" {
            again("_gzip", false, Some(|b| b.shuffle().deflate(4)));
            again("_lzf", false, Some(|b| b.lzf()));
        }
        again("_newest", true, Some(|b| b.deflate(4)));
    }
    write::csv(&at("delimited", "csv"));
    let table = std::fs::read_to_string(at("delimited", "csv")).expect("written");
    std::fs::write(at("delimited", "tsv"), table.replace(',', "\t")).expect("written");
    std::fs::write(at("delimited", "semicolons"), table.replace(',', ";")).expect("written");
    let scratch = tempfile::tempdir().expect("a folder");
    let cells: Vec<String> = (1..=6).map(|i| format!("c{i}")).collect();
    write::folder(scratch.path(), &files::symbols(5), &cells);
    for (which, name) in [(0u8, "matrix.mtx"), (1, "genes.tsv"), (2, "barcodes.tsv")] {
        let mut bytes = vec![which];
        bytes.extend(std::fs::read(scratch.path().join(name)).expect("written"));
        std::fs::write(at("matrix_market", name), bytes).expect("written");
    }
    let mut state = State::default();
    state.set("weight", &[2, 3], vec![0.5; 6]);
    std::fs::write(at("checkpoint", "small"), state.to_bytes().expect("bytes")).expect("written");
    let scratch = tempfile::tempdir().expect("a folder");
    let run = scratch.path().join("run");
    cytograd::models::run::RunFolder::create(&run, false, Manifest::new("resnet")).expect("a run folder");
    std::fs::copy(run.join("manifest.json"), at("manifest", "new")).expect("copied");
}

/// How arrays are packed.
type Pack = fn(DatasetBuilder) -> DatasetBuilder;

/// The same file with small blocks, in the oldest or the newest layout that the library knows, with
/// packed arrays if asked for.
fn write_again(from: &Path, to: &Path, newest: bool, pack: Option<Pack>) -> hdf5::Result<()> {
    let source = File::open(from)?;
    let mut options = File::with_options();
    options.with_fcpl(|list| list.sym_k(2, 2).istore_k(2));
    if newest {
        options.with_fapl(|list| list.libver_latest());
    }
    let target = options.create(to)?;
    for name in source.member_names()? {
        match source.group(&name) {
            Ok(group) => group.copy_to(&target, &name)?,
            Err(_) => source.dataset(&name)?.copy_to(&target, &name)?,
        }
    }
    match pack {
        Some(pack) => pack_arrays(&target, pack),
        None => Ok(()),
    }
}

/// Numbers in several chunks each.
fn pack_arrays(group: &Group, pack: Pack) -> hdf5::Result<()> {
    for name in group.member_names()? {
        if let Ok(below) = group.group(&name) {
            pack_arrays(&below, pack)?;
            continue;
        }
        let old = group.dataset(&name)?;
        let (kind, shape) = (old.dtype()?.to_descriptor()?, old.shape());
        if shape.is_empty() || !matches!(kind, Boolean | Float(_) | Integer(_) | Unsigned(_)) {
            continue;
        }
        group.unlink(&name)?;
        let chunk: Vec<usize> = shape.iter().map(|n| n / 2 + 1).collect();
        let builder = pack(group.new_dataset_builder().chunk(chunk)).empty_as(&kind);
        let new = builder.shape(shape).create(name.as_str())?;
        match kind {
            Boolean => new.write_raw(&old.read_raw::<bool>()?)?,
            Float(_) => new.write_raw(&old.read_raw::<f64>()?)?,
            _ => new.write_raw(&old.read_raw::<i64>()?)?,
        }
    }
    Ok(())
}
