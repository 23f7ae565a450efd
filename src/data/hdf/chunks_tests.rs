//! What [`super`] reads is what the HDF5 library reads.

use super::*;

#[test]
fn planes_become_elements_again() {
    let elements: Vec<u8> = (0..26).collect(); // six of four bytes and two bytes left over
    for width in [2, 4, 8] {
        let n = elements.len() / width;
        let mut planes: Vec<u8> = (0..width).flat_map(|j| (0..n).map(move |i| (i * width + j) as u8)).collect();
        planes.extend(&elements[n * width..]);
        let mut found = Vec::new();
        unshuffle(&planes, &mut found, width);
        assert_eq!(found, elements, "{width}");
    }
}

#[test]
fn lzf_copies_literals_and_what_was_written() {
    let mut out = Vec::new();
    assert!(lzf(&[2, 7, 8, 9, 0x20 | 2 << 5, 2, 0xe0, 1, 0], &mut out, 100).is_ok());
    assert_eq!(out, [7, 8, 9, 7, 8, 9, 7, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 8]);
    for bad in [&[3u8, 1][..], &[0x20], &[0, 1, 0x20, 9], &[0, 1, 0xff, 255, 0]] {
        assert!(lzf(bad, &mut Vec::new(), 100).is_err(), "{bad:?}");
    }
}

/// A file with `write`'s dataset `x`, opened for reading.
fn file(write: impl FnOnce(&hdf5::File)) -> (tempfile::NamedTempFile, hdf5::File) {
    let path = tempfile::NamedTempFile::new().unwrap();
    let file = hdf5::File::create(path.path()).unwrap();
    write(&file);
    file.close().unwrap();
    let file = hdf5::File::open(path.path()).unwrap();
    (path, file)
}

fn agrees<T: H5Type + Copy>(values: Vec<T>) {
    type Change = fn(hdf5::DatasetBuilder) -> hdf5::DatasetBuilder;
    let changes: [(&str, Change); 7] = [
        ("plain", |b| b),
        ("chunks", |b| b.chunk(1000)),
        ("gzip", |b| b.chunk(1000).deflate(4)),
        ("shuffle and gzip", |b| b.chunk(777).shuffle().deflate(9)),
        ("lzf", |b| b.chunk(1000).lzf()),
        ("shuffle and lzf", |b| b.chunk(4096).shuffle().lzf()),
        ("one chunk", |b| b.chunk(6000).shuffle().deflate(1)),
    ];
    for (name, change) in changes {
        let (path, file) = file(|file| {
            let dataset = change(file.new_dataset_builder()).empty::<T>().shape(6000).create("x").unwrap();
            dataset.write_raw(&values).unwrap();
        });
        let (place, dataset) = (Place::new(path.path()), file.dataset("x").unwrap());
        let chunks = Chunks::of(&dataset).expect(name);
        for span in [0..6000, 0..1, 999..1001, 2500..5999, 5000..5000] {
            let theirs: Vec<f32> = place.span(&dataset, span.clone()).unwrap();
            assert_eq!(chunks.read::<f32>(&place, span.clone()).unwrap(), theirs, "{name} {span:?}");
            if chunks.kind != Kind::F32 && chunks.kind != Kind::F64 {
                let theirs: Vec<i64> = place.span(&dataset, span.clone()).unwrap();
                assert_eq!(chunks.read::<i64>(&place, span.clone()).unwrap(), theirs, "{name} {span:?}");
            }
        }
    }
}

#[test]
fn chunks_read_here_are_what_the_library_reads() {
    let number = |i: i64| i * i % 10_007 % 251;
    agrees((0..6000).map(|i| number(i) as f32 / 3.0).collect());
    agrees((0..6000).map(|i| number(i) as f64 / 3.0).collect());
    agrees((0..6000).map(|i| (number(i) - 100) as i8).collect());
    agrees((0..6000).map(|i| (number(i) * 99 - 999) as i16).collect());
    agrees((0..6000).map(|i| (number(i) - 9) as i32 * 1_000_003).collect());
    agrees((0..6000).map(|i| (number(i) - 9) * 1_000_000_000_039).collect());
    agrees((0..6000).map(|i| number(i) as u8).collect());
    agrees((0..6000).map(|i| number(i) as u16 * 251).collect());
    agrees((0..6000).map(|i| number(i) as u32 * 16_000_057).collect());
    agrees((0..6000).map(|i| number(i) as u64 * 1_000_000_000_039).collect());
}

#[test]
fn what_cannot_be_read_here_is_left_to_the_library() {
    let left = |write: fn(&hdf5::File)| {
        let (_path, file) = file(write);
        Chunks::of(&file.dataset("x").unwrap()).is_none()
    };
    let values = vec![1f32; 6000];
    assert!(left(|f| drop(f.new_dataset::<f32>().shape(6000).chunk(500).create("x").unwrap())), "never written");
    assert!(left(|f| drop(f.new_dataset::<f32>().shape(6000).chunk(500).fletcher32().create("x").unwrap())));
    assert!(left(|f| drop(f.new_dataset::<f32>().shape((60, 100)).create("x").unwrap())), "two axes");
    assert!(left(|f| drop(f.new_dataset::<bool>().shape(6000).create("x").unwrap())));
    let path = tempfile::NamedTempFile::new().unwrap();
    let open = hdf5::File::create(path.path()).unwrap();
    let dataset = open.new_dataset::<f32>().shape(6000).create("x").unwrap();
    dataset.write_raw(&values).unwrap();
    assert!(Chunks::of(&dataset).is_none(), "open for changes");
}

#[test]
fn a_damaged_chunk_is_an_error_that_names_it() {
    let values: Vec<f32> = (0..6000).map(|i| i as f32).collect();
    let (path, file) = file(|f| {
        let dataset = f.new_dataset::<f32>().shape(6000).chunk(1000).deflate(4).create("x").unwrap();
        dataset.write_raw(&values).unwrap();
    });
    let place = Place::new(path.path());
    let chunks = Chunks::of(&file.dataset("x").unwrap()).unwrap();
    let at = chunks.at[2];
    let broken = std::fs::OpenOptions::new().write(true).open(path.path()).unwrap();
    broken.write_all_at(&vec![0xa5; at.bytes], at.address).unwrap();
    assert!(chunks.read::<f32>(&place, 0..2000).is_ok());
    let said = chunks.read::<f32>(&place, 0..6000).unwrap_err().to_string();
    assert!(said.contains("/x: elements from 2000: what gzip packed cannot be unpacked"), "{said}");
}

#[test]
fn numbers_beyond_a_type_are_seen() {
    let mut out = [0u32; 2];
    assert!(u32::convert(Kind::I64, &[1u64.to_le_bytes(), 2u64.to_le_bytes()].concat(), &mut out));
    assert_eq!(out, [1, 2]);
    assert!(!u32::convert(Kind::I32, &(-1i32).to_le_bytes(), &mut out[..1]));
    assert!(!u32::convert(Kind::I64, &(1i64 << 40).to_le_bytes(), &mut out[..1]));
    let mut floats = [0f32; 1];
    assert!(f32::convert(Kind::U16, &40_000u16.to_le_bytes(), &mut floats));
    assert_eq!(floats, [40_000.0]);
}
