use crate::harness::*;
use cytograd::kernel::Layout;
use cytograd::kernel::elementwise::*;

/// Views of a buffer of `len` words: contiguous, transposed, broadcast, sliced, flipped.
fn views() -> Vec<(&'static str, Vec<usize>, Vec<isize>, usize)> {
    vec![
        ("row", vec![4099], vec![1], 0),
        ("one", vec![1], vec![1], 3),
        ("empty", vec![0, 5], vec![5, 1], 0),
        ("matrix", vec![33, 65], vec![65, 1], 0),
        ("transposed", vec![65, 33], vec![1, 65], 0),
        ("broadcast row", vec![37, 29], vec![0, 1], 5),
        ("broadcast column", vec![37, 29], vec![1, 0], 5),
        ("scalar", vec![257], vec![0], 2),
        ("every third", vec![129], vec![3], 1),
        ("flipped", vec![257], vec![-1], 256),
        ("permuted", vec![3, 5, 2, 7], vec![1, 42, 21, 3], 0),
        ("large", vec![70_001], vec![1], 0),
    ]
}

#[test]
fn unary_matches_reference_bits() {
    let data = hostile(80_000, 1);
    for op in Unary::ALL {
        for (name, shape, strides, offset) in views() {
            for (a, b) in [(0.3, 0.9), (-1.5, 2.0)] {
                let x = Layout::new(&shape, &strides, offset);
                let params = UnaryParams { op: op as u32, a, b, x };
                check(&format!("{op:?} {name}"), &UNARY, &params, &[bits(&data)], &[Out::Floats(x.len())]);
            }
        }
    }
}

#[test]
fn binary_matches_reference_bits() {
    let (x, y) = (hostile(80_000, 2), hostile(80_000, 3));
    for op in Binary::ALL {
        for (name, shape, strides, offset) in views() {
            let a = Layout::new(&shape, &strides, offset);
            for (other, b) in [
                ("contiguous", Layout::contiguous(&shape, 7)),
                ("the same view", a),
                ("a scalar", Layout::new(&shape, &vec![0; shape.len()], 11)),
            ] {
                let params = BinaryParams { op: op as u32, x: a, y: b };
                let what = format!("{op:?} {name} with {other}");
                check(&what, &BINARY, &params, &[bits(&x), bits(&y)], &[Out::Floats(a.len())]);
                let params = BinaryParams { op: op as u32, x: b, y: a };
                check(&what, &BINARY, &params, &[bits(&x), bits(&y)], &[Out::Floats(a.len())]);
            }
        }
    }
}

#[test]
fn select_and_fill_match_reference_bits() {
    let (c, x, y) = (hostile(80_000, 4), hostile(80_000, 5), hostile(80_000, 6));
    for (name, shape, strides, offset) in views() {
        let view = Layout::new(&shape, &strides, offset);
        let row = Layout::contiguous(&shape, 3);
        let params = SelectParams { cond: view, x: row, y: view };
        check(name, &SELECT, &params, &[bits(&c), bits(&x), bits(&y)], &[Out::Floats(view.len())]);
        let params = FillParams { bits: 0x7fc0_0001, n: view.len() as u32 };
        check(name, &FILL, &params, &[], &[Out::Words(view.len())]);
    }
}

/// Outputs of this size are written past the caches.
#[test]
fn large_maps_match_reference_bits() {
    let n = (4 << 20) + 37;
    let (x, y) = (hostile(n + 3, 7), hostile(n + 3, 8));
    let (rows, columns) = (1025, 4099);
    for (name, view) in [
        ("row", Layout::new(&[n], &[1], 3)),
        ("flipped", Layout::new(&[n], &[-1], n - 1)),
        ("broadcast row", Layout::new(&[rows, columns], &[0, 1], 1)),
        ("broadcast column", Layout::new(&[rows, columns], &[1, 0], 1)),
    ] {
        let out = [Out::Floats(view.len())];
        let params = UnaryParams { op: Unary::Exp as u32, a: 0.0, b: 0.0, x: view };
        check(name, &UNARY, &params, &[bits(&x)], &out);
        let params = BinaryParams { op: Binary::Add as u32, x: view, y: view };
        check(name, &BINARY, &params, &[bits(&x), bits(&y)], &out);
        let params = SelectParams { cond: view, x: view, y: view };
        check(name, &SELECT, &params, &[bits(&x), bits(&y), bits(&x)], &out);
    }
}
