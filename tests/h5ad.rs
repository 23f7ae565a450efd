//! Real and hostile h5ad files through the public reader and writer.
//!
//! With `CYTOGRAD_PYTHON` naming an interpreter that has anndata, what we write is opened there
//! with warnings as errors, and files that it writes are read here.

#[path = "readers/everything.rs"]
mod everything;

use cytograd::Error;
use cytograd::data::check::{Content, describe, duplicates};
use cytograd::data::h5ad::{self, Additions};
use cytograd::data::{Categorical, Column, Dataset, Dense, Entry, Labels, Matrix, Table, Value};
use everything::everything;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard};

/// One test at a time: a python started by another test would inherit our open, locked files.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn shared_data() -> Option<PathBuf> {
    let root = std::env::var("CYTOGRAD_SHARED").unwrap_or_else(|_| "../shared".into());
    let path = PathBuf::from(root).join("data");
    if !path.is_dir() {
        eprintln!("skipped: {} is not there (CYTOGRAD_SHARED names the folder)", path.display());
        return None;
    }
    Some(path)
}

/// Runs a script with anndata, warnings as errors; false (and a note) without an interpreter.
fn python(script: &str, arguments: &[&Path]) -> bool {
    let Ok(interpreter) = std::env::var("CYTOGRAD_PYTHON") else {
        eprintln!("skipped: CYTOGRAD_PYTHON does not name a python with anndata");
        return false;
    };
    let output = Command::new(interpreter).args(["-W", "error", "-c", script]).args(arguments).output().unwrap();
    assert!(output.status.success(), "python said: {}", String::from_utf8_lossy(&output.stderr));
    true
}

/// What was read says the same as what was written, whatever file it came from.
fn assert_same(found: &Dataset, expected: &Dataset) {
    let expected = Dataset { source: found.source.clone(), ..expected.clone() };
    assert_eq!(found, &expected);
}

#[test]
fn every_shared_file_reads_and_round_trips() {
    let _turn = alone();
    let Some(folder) = shared_data() else { return };
    let scratch = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "h5ad") {
            continue;
        }
        let data = h5ad::read(&path).unwrap();
        assert!(matches!(data.x, Matrix::Csr(_)), "{} is sparse", path.display());
        assert!(data.skipped.is_empty(), "{}: {:?}", path.display(), data.skipped);
        let copy = scratch.path().join("copy.h5ad");
        h5ad::write(&copy, &data).unwrap();
        assert_same(&h5ad::read(&copy).unwrap(), &data);
        let sums = "import sys, anndata, numpy as np
a, b = anndata.read_h5ad(sys.argv[1]), anndata.read_h5ad(sys.argv[2])
assert (a.X != b.X).nnz == 0 and a.X.dtype == b.X.dtype
assert list(a.obs_names) == list(b.obs_names) and list(a.var_names) == list(b.var_names)
for c in a.obs: assert (a.obs[c] == b.obs[c]).all() and str(a.obs[c].dtype) == 'category' or c.startswith('total'), c
assert list(a.obs) == list(b.obs) and a.uns['source'] == b.uns['source']
for k in a.obsm: assert np.array_equal(a.obsm[k], b.obsm[k])
assert not [f for f in __import__('os').listdir(__import__('os').path.dirname(sys.argv[2])) if f.endswith('.part')]";
        python(sums, &[&path, &copy]);
    }
}

#[test]
fn everything_round_trips() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("all.h5ad");
    let data = everything();
    h5ad::write(&path, &data).unwrap();
    assert_same(&h5ad::read(&path).unwrap(), &data);
    h5ad::write(&path, &data).unwrap(); // over itself
    assert_same(&h5ad::read(&path).unwrap(), &data);
}

#[test]
fn anndata_opens_what_we_write_without_a_warning() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("all.h5ad");
    h5ad::write(&path, &everything()).unwrap();
    let back = scratch.path().join("back.h5ad");
    let script = "import sys, anndata, numpy as np, pandas as pd
a = anndata.read_h5ad(sys.argv[1])
assert a.shape == (5, 4) and a.obs.index.name == 'barcode'
assert a.obs['label'].dtype == 'category' and a.obs['label'].isna().tolist() == [False, True, False, False, False]
assert a.obs['dose'].cat.categories.tolist() == [1, 10] and a.obs['dose'].cat.ordered
assert a.obs['ratio'].cat.categories.dtype.kind == 'f' and a.obs['flag'].cat.categories.dtype.kind == 'b'
assert a.obs['maybe_n'].isna().tolist() == [False, True, False, False, True] and a.obs['n'].dtype == 'int64'
assert a.obs['maybe_ok'].dtype == 'boolean' and a.obs['maybe_text'].isna().sum() == 2
assert a.obs['score32'].dtype == 'float32' and a.obs['ok'].dtype == 'bool'
assert a.layers['dense'].shape == (5, 4) and a.raw.shape == (5, 4) and a.obsm['table']['p'].sum() == 15
assert a.uns['nested']['deeper']['text'] == 'grüße' and a.uns['nested']['a'] == 1 and a.uns['nested']['c']
assert a.obsp['connectivities'].shape == (5, 5) and a.uns['numbers'].shape == (2, 2)
anndata.settings.allow_write_nullable_strings = True
a.write_h5ad(sys.argv[2], compression='lzf', convert_strings_to_categoricals=False)";
    if python(script, &[&path, &back]) {
        let mut again = h5ad::read(&back).unwrap();
        let sorted = |uns: &mut Vec<(String, Value)>| uns.sort_by(|a, b| a.0.cmp(&b.0));
        sorted(&mut again.uns);
        assert_same(&again, &everything());
    }
}

#[test]
fn dense_csc_and_old_files_read_like_sparse_rows() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let file = |name: &str| scratch.path().join(name);
    let (csr, csc, dense, old) = (file("csr.h5ad"), file("csc.h5ad"), file("dense.h5ad"), file("old.h5ad"));
    let script = "import sys, anndata, numpy as np, pandas as pd, scipy.sparse as sp, h5py
rng = np.random.default_rng(0)
x = rng.poisson(0.5, (40, 30)).astype('float32')
obs = pd.DataFrame({'t': pd.Categorical(list('ab') * 20)}, index=[f'c{i}' for i in range(40)])
var = pd.DataFrame(index=[f'g{i}' for i in range(30)])
for path, m, comp in [(sys.argv[1], sp.csr_matrix(x), 'gzip'), (sys.argv[2], sp.csc_matrix(x), 'lzf'), (sys.argv[3], x.astype('int64'), None)]:
    anndata.AnnData(m, obs, var, layers={'counts': m}).write_h5ad(path, compression=comp)
with h5py.File(sys.argv[3]) as f, h5py.File(sys.argv[4], 'w') as g:   # as anndata 0.7 laid it out
    g['X'] = f['X'][...]
    for name, index in [('obs', obs.index), ('var', var.index)]:
        t = g.create_group(name)
        t.attrs.update({'encoding-type': 'dataframe', 'encoding-version': '0.1.0', '_index': '_index'})
        t['_index'] = np.array(list(index), dtype=h5py.string_dtype())
    g['var'].attrs['column-order'] = np.array([], dtype='float64')
    g['obs'].attrs['column-order'] = np.array(['t'], dtype=h5py.string_dtype())
    g['obs/__categories/t'] = np.array(['a', 'b'], dtype=h5py.string_dtype())
    g['obs/__categories/t'].attrs['ordered'] = False
    g['obs/t'] = np.array([0, 1] * 20, dtype='int8')
    g['obs/t'].attrs['categories'] = g['obs/__categories/t'].ref";
    if !python(script, &[&csr, &csc, &dense, &old]) {
        return;
    }
    let reference = h5ad::read(&csr).unwrap();
    for path in [&csc, &dense, &old] {
        let data = h5ad::read(path).unwrap();
        assert_eq!(data.x.to_csr().unwrap(), reference.x.to_csr().unwrap(), "{}", path.display());
        assert_eq!(data.obs.get("t"), reference.obs.get("t"), "{}", path.display());
        assert_eq!((&data.obs.index, &data.var.index), (&reference.obs.index, &reference.var.index));
    }
    let add = Additions { obs: vec![("n".into(), Column::Int((0..40).collect()))], ..Additions::default() };
    let target = file("added.h5ad");
    h5ad::add_to_copy(&old, &target, &add, None).unwrap();
    let script = "import sys, anndata, warnings
warnings.simplefilter('ignore', anndata.OldFormatWarning if hasattr(anndata, 'OldFormatWarning') else FutureWarning)
a = anndata.read_h5ad(sys.argv[1])
assert a.obs['n'].tolist() == list(range(40)) and a.obs['t'].tolist() == list('ab') * 20";
    python(script, &[&target]);
    let rows: Vec<usize> = (5..20).collect();
    let add = Additions::default();
    for path in [&csr, &csc, &dense, &old] {
        h5ad::add_to_copy(path, &target, &add, Some(&rows)).unwrap();
        let part = h5ad::read(&target).unwrap();
        assert_eq!(part.x.to_csr().unwrap(), reference.x.select_rows(&rows).to_csr().unwrap(), "{}", path.display());
        assert_eq!(part.obs, reference.obs.select_rows(&rows));
    }
}

fn additions(n: usize) -> Additions {
    let label = Categorical::from_strings(&vec!["x"; n]);
    Additions {
        obs: vec![("cytograd_label".into(), Column::Categorical(label)), ("n".into(), Column::Int(vec![7; n]))],
        obsm: vec![("X_cytograd".into(), Entry::Matrix(Matrix::Dense(Dense::new(n, 2, vec![1.0; 2 * n]).unwrap())))],
        uns: vec![("cytograd".into(), Value::dict().with("version", "1"))],
    }
}

#[test]
fn additions_keep_everything_else_and_replace_their_own() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let (source, target) = (scratch.path().join("in.h5ad"), scratch.path().join("out.h5ad"));
    let data = everything();
    h5ad::write(&source, &data).unwrap();
    let before = std::fs::read(&source).unwrap();
    h5ad::add_to_copy(&source, &target, &additions(5), None).unwrap();
    h5ad::add_to_copy(&target, &target, &additions(5), None).unwrap(); // in place, twice
    assert_eq!(std::fs::read(&source).unwrap(), before, "the source is as it was");
    let mut expected = data.clone();
    for (name, column) in additions(5).obs {
        expected.obs.set(name, column).unwrap();
    }
    let mut found = h5ad::read(&target).unwrap();
    assert_eq!(found.uns.iter().filter(|(name, _)| name == "cytograd").count(), 1);
    found.uns.retain(|(name, _)| name != "cytograd");
    found.obsm.retain(|(name, _)| name != "X_cytograd");
    assert_same(&found, &expected);
    let script = "import sys, anndata
a = anndata.read_h5ad(sys.argv[1])
assert a.obs['cytograd_label'].tolist() == ['x'] * 5 and a.obs['n'].tolist() == [7] * 5
assert a.obsm['X_cytograd'].shape == (5, 2) and a.uns['cytograd']['version'] == '1'";
    python(script, &[&target]);
}

#[test]
fn chosen_cells_are_subset_in_every_part() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let (source, target) = (scratch.path().join("in.h5ad"), scratch.path().join("out.h5ad"));
    let data = everything();
    h5ad::write(&source, &data).unwrap();
    h5ad::add_to_copy(&source, &target, &Additions::default(), Some(&[1, 4])).unwrap();
    assert_same(&h5ad::read(&target).unwrap(), &data.select_obs(&[1, 4]));
    h5ad::add_to_copy(&source, &target, &additions(2), Some(&[1, 4])).unwrap();
    python("import sys, anndata; assert anndata.read_h5ad(sys.argv[1]).shape == (2, 4)", &[&target]);
}

#[test]
fn a_failed_write_leaves_the_target_alone() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let (source, target) = (scratch.path().join("in.h5ad"), scratch.path().join("out.h5ad"));
    h5ad::write(&source, &everything()).unwrap();
    std::fs::write(&target, "precious").unwrap();
    let error = h5ad::add_to_copy(&source, &target, &additions(4), None).unwrap_err();
    assert!(matches!(error, Error::Shape { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "precious");
    let error = h5ad::write(&scratch.path().join("nowhere/out.h5ad"), &everything()).unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.exit_code() == 1, "{error}");
    let mut left: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["in.h5ad", "out.h5ad"], "no temporary file stays behind");
}

fn said(path: &Path, layer: Option<&str>) -> String {
    let error = h5ad::read_matrix(path, layer).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    let text = error.to_string();
    assert!(!text.contains('\n'), "one line: {text}");
    text
}

#[test]
fn files_that_are_no_h5ad_are_named_as_what_they_are() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5ad");
    assert!(said(&path, None).contains("there is no such file"));
    std::fs::write(&path, "cell,gene\n1,2\n").unwrap();
    assert!(said(&path, None).ends_with("not an HDF5 file; give an .h5ad file"));
    std::fs::write(&path, [0x1f, 0x8b, 8, 0, 0]).unwrap();
    assert!(said(&path, None).ends_with("unpack it with gunzip first"));
    std::fs::write(&path, "").unwrap();
    assert!(said(&path, None).contains("the file is empty"));
    assert!(said(scratch.path(), None).contains("is a folder"));
    hdf5::File::create(&path).unwrap().create_group("something").unwrap();
    assert!(said(&path, None).contains("it holds \"something\""));
}

#[test]
fn a_truncated_file_is_said_to_be_truncated() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5ad");
    h5ad::write(&path, &everything()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for keep in [bytes.len() / 2, bytes.len() - 1, 2000, 100, 20] {
        std::fs::write(&path, &bytes[..keep]).unwrap();
        let text = said(&path, None);
        assert!(text.contains("truncated") || text.contains("may be damaged"), "{keep} bytes: {text}");
    }
}

#[test]
fn a_missing_matrix_or_layer_lists_what_there_is() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5ad");
    h5ad::write(&path, &everything()).unwrap();
    let text = said(&path, Some("raw_counts"));
    assert_eq!(
        text,
        "x.h5ad: layers: no layer \"raw_counts\"; it has \"counts\", \"dense\", \"raw\", or leave --layer out to use X"
    );
    hdf5::File::open_rw(&path).unwrap().unlink("X").unwrap();
    assert!(
        said(&path, None)
            .ends_with("no matrix X in the file; choose another matrix with --layer: \"counts\", \"dense\", \"raw\"")
    );
    assert_eq!(h5ad::read_matrix(&path, Some("counts")).unwrap().n_obs(), 5);
}

#[test]
fn a_missing_filter_is_named() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5ad");
    let script = "import sys, anndata, numpy as np, h5py
try:
    import hdf5plugin
except ImportError:
    sys.exit(0)
anndata.AnnData(np.ones((30, 20), 'float32')).write_h5ad(sys.argv[1], compression=hdf5plugin.FILTERS['zstd'])";
    if python(script, &[&path]) && path.exists() {
        assert!(said(&path, None).contains("compressed with zstd (HDF5 filter 32015), which is not built in"));
    }
}

#[test]
fn packing_by_bits_is_refused_by_name() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5ad");
    h5ad::write(&path, &everything()).unwrap();
    let layers = hdf5::File::open_rw(&path).unwrap().group("layers").unwrap();
    layers.unlink("dense").unwrap();
    layers.new_dataset::<f32>().shape([5, 4]).chunk([5, 2]).nbit().create("dense").unwrap();
    drop(layers);
    let said = said(&path, Some("dense"));
    assert!(said.contains("/layers/dense: compressed with n-bit (HDF5 filter 5), which is not built in"), "{said}");
}

#[test]
fn chunks_of_other_axes_than_the_array_are_damage() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5ad");
    h5ad::write(&path, &everything()).unwrap();
    let layers = hdf5::File::open_rw(&path).unwrap().group("layers").unwrap();
    layers.unlink("dense").unwrap();
    layers.new_dataset::<f32>().shape([5, 4]).chunk([5, 2]).create("dense").unwrap();
    drop(layers);
    // The layout message: version 3, chunked, three numbers (an address of eight bytes comes first).
    let mut bytes = std::fs::read(&path).unwrap();
    let numbers = [5u32, 2, 4].map(u32::to_le_bytes).concat();
    let found = |w: &[u8]| w.starts_with(&[3, 2, 3]) && w[11..].starts_with(&numbers);
    let at = bytes.windows(11 + numbers.len()).position(found).expect("the layout message");
    bytes[at + 2] = 2;
    std::fs::write(&path, bytes).unwrap();
    let said = said(&path, Some("dense"));
    assert!(said.contains("/layers/dense: stored in chunks of shape [5], the array's shape is [5, 4]"), "{said}");
}

#[test]
fn packed_chunks_of_hardly_any_bytes_or_far_too_many_are_damage() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5ad");
    for (sums, bytes_left) in [(false, 0u32), (true, 3), (false, 1 << 29)] {
        h5ad::write(&path, &everything()).unwrap();
        let layers = hdf5::File::open_rw(&path).unwrap().group("layers").unwrap();
        layers.unlink("dense").unwrap();
        let new = layers.new_dataset::<f32>().shape([5, 4]).chunk([5, 4]);
        let dense = if sums { new.fletcher32() } else { new.lzf() }.create("dense").unwrap();
        dense.write_raw(&[1.0f32; 20]).unwrap();
        let packed = dense.chunk_info(0).unwrap();
        drop((dense, layers));
        // The chunk index holds its size (no filter left out, at 0, 0), its address comes later.
        let mut bytes = std::fs::read(&path).unwrap();
        let key = [&(packed.size as u32).to_le_bytes()[..], &[0; 4 + 3 * 8], &packed.addr.to_le_bytes()].concat();
        let at = bytes.windows(key.len()).position(|w| w == key).expect("the chunk's key");
        bytes[at..at + 4].copy_from_slice(&bytes_left.to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        let said = said(&path, Some("dense"));
        assert!(
            said.contains("/layers/dense: has a packed chunk of hardly any bytes, or of more than the file"),
            "{said}"
        );
    }
}

#[test]
fn a_dataspace_of_an_unknown_kind_is_damage() {
    let _turn = alone();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("x.h5ad");
    h5ad::write(&path, &everything()).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    // Version 1, one axis of two elements and at most two: the shapes of sparse matrices.
    let space = [&[1u8, 1, 1, 0, 0, 0, 0, 0][..], &2u64.to_le_bytes(), &2u64.to_le_bytes()].concat();
    let of_shape = |at: usize| bytes[at.saturating_sub(64)..at].windows(6).any(|w| w == b"shape\0");
    let places = (0..bytes.len() - space.len()).filter(|&at| bytes[at..].starts_with(&space) && of_shape(at));
    let places: Vec<usize> = places.collect();
    assert!(!places.is_empty());
    for at in places {
        // Version 2, no axis, kind 32.
        bytes[at..at + 4].copy_from_slice(&[2, 0, 0, 32]);
    }
    std::fs::write(&path, bytes).unwrap();
    let said = said(&path, Some("counts"));
    assert!(said.contains("/X: cannot be read"), "{said}");
}

#[test]
fn a_full_disk_is_said_and_the_old_file_stays() {
    let _turn = alone();
    let Ok(folder) = std::env::var("CYTOGRAD_SMALL_DISK") else {
        eprintln!("skipped: CYTOGRAD_SMALL_DISK does not name a folder on a file system of about 100 kB");
        return;
    };
    if std::env::var("CYTOGRAD_CHILD").is_err() {
        // In a process of its own, as in the program: the HDF5 library does not recover from a
        // file that it could not close, and must not spoil the other tests.
        let this = std::env::current_exe().unwrap();
        let test = "a_full_disk_is_said_and_the_old_file_stays";
        let output = Command::new(this).args(["--exact", test]).env("CYTOGRAD_CHILD", "1").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let path = PathBuf::from(folder).join("x.h5ad");
    std::fs::write(&path, "precious").unwrap();
    let noise = (0..200_000u32).map(|i| i.wrapping_mul(2_654_435_769) as f32).collect();
    let x = Matrix::Dense(Dense::new(200, 1000, noise).unwrap());
    let names = |prefix: &str, n: usize| Table::new((0..n).map(|i| format!("{prefix}{i}")).collect());
    let data = Dataset::new(x, names("c", 200), names("g", 1000)).unwrap();
    let error = h5ad::write(&path, &data).unwrap_err();
    assert!(error.to_string().contains("No space left on device") && error.exit_code() == 1, "{error}");
    let scratch = tempfile::tempdir().unwrap();
    let large = scratch.path().join("large.h5ad");
    h5ad::write(&large, &data).unwrap();
    let error = h5ad::add_to_copy(&large, &path, &Additions::default(), None).unwrap_err();
    assert!(error.to_string().contains("No space left on device"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file stays behind");
}

#[test]
fn shared_files_hold_what_their_notes_say() {
    let _turn = alone();
    let Some(folder) = shared_data() else { return };
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "h5ad") {
            continue;
        }
        let data = h5ad::read_matrix(&path, None).unwrap();
        let seen = describe(&data.x);
        // Five studies, three of them with corrected or expected counts.
        let expected = if data.source.starts_with("pancreas") { Content::Fractional } else { Content::Counts };
        assert_eq!(seen.content, expected, "{}: {}", data.source, seen.evidence);
        assert!(seen.empty_cells.is_empty() && seen.not_finite.is_none());
        assert!(duplicates(&data.obs.index).is_empty() && duplicates(&data.var.index).is_empty());
        match Labels::read(&data.obs, "cell_type", &data.source) {
            Ok(labels) => labels.require_trainable("cell_type", &data.source).unwrap(),
            Err(error) => assert!(data.source.contains("unlabelled"), "{error}"),
        }
    }
}
