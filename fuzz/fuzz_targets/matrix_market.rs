//! A 10x folder of five genes and six cells: the first byte says which of its files the rest is.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    let genes = b"ENSG1\tA\nENSG2\tB\nENSG3\tC\nENSG4\tD\nENSG5\tE\n";
    let matrix = b"%%MatrixMarket matrix coordinate integer general\n5 6 2\n1 1 3\n5 6 1\n";
    let mut files = [&matrix[..], &genes[..], b"c1\nc2\nc3\nc4\nc5\nc6\n"];
    files[usize::from(*which) % 3] = rest;
    let path = cytograd_fuzz::file("matrix.mtx", files[0]);
    cytograd_fuzz::file("genes.tsv", files[1]);
    cytograd_fuzz::file("barcodes.tsv", files[2]);
    cytograd_fuzz::read(&path);
});
