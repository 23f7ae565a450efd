use crate::harness::*;
use cytograd::kernel::Layout;
use cytograd::kernel::gather::*;

fn words(n: usize) -> Vec<u32> {
    (0..n as u32).map(|i| i.wrapping_mul(2_654_435_761) ^ 0x7f80_0001).collect()
}

/// `m` indices below `n`, some of them out of range if `wild`.
fn indices(m: usize, n: usize, wild: bool) -> Vec<u32> {
    (0..m as u32)
        .map(|i| {
            let h = (i ^ 0x55).wrapping_mul(2_246_822_519) >> 5;
            let far = [n as u32, u32::MAX, n as u32 + 7][h as usize % 3];
            if n == 0 || (wild && h.is_multiple_of(5)) { far } else { h % n as u32 }
        })
        .collect()
}

#[test]
fn gather_copy_reads_any_view() {
    let x = words(400_000);
    let views: [(&str, &[usize], &[isize], usize); 14] = [
        ("row", &[4099], &[1], 1),
        ("one", &[1], &[1], 3),
        ("empty", &[0, 5], &[5, 1], 0),
        ("scalar", &[], &[], 9),
        ("transposed", &[65, 33], &[1, 65], 0),
        ("large transposed", &[301, 703], &[1, 301], 2),
        ("transposed batch", &[3, 65, 33], &[2145, 1, 65], 0),
        ("broadcast row", &[370, 290], &[0, 1], 5),
        ("broadcast column", &[370, 290], &[1, 0], 5),
        ("sliced", &[300, 17], &[100, 1], 7),
        ("every third", &[1290], &[3], 1),
        ("flipped", &[257], &[-1], 256),
        ("flipped rows", &[300, 129], &[-129, 1], 299 * 129),
        ("permuted", &[3, 5, 2, 7], &[1, 42, 21, 3], 0),
    ];
    for (name, shape, strides, offset) in views {
        let src = Layout::new(shape, strides, offset);
        let n = src.len();
        let found = check(name, &COPY, &CopyParams { src, dst: Layout::contiguous(shape, 0) }, &[&x], &[Out::Words(n)]);
        assert!((0..n).all(|i| found[0][i] == x[src.index(i)]), "{name}");
    }
}

#[test]
fn gather_copy_writes_only_its_words() {
    let x = words(200_000);
    let cases: [(&str, &[usize], &[isize], usize, usize); 9] = [
        ("columns of a concat", &[300, 70], &[200, 1], 130, 300 * 200),
        ("rows of a concat", &[100, 70], &[70, 1], 700, 20_000),
        ("one column", &[5000], &[11], 3, 55_000),
        ("transposed", &[65, 33], &[1, 65], 4, 3000),
        ("flipped", &[300, 129], &[-129, 1], 299 * 129, 300 * 129),
        ("flipped row", &[257], &[-1], 256, 300),
        ("padded block", &[7, 30, 40], &[3000, 60, 1], 1234, 25_000),
        ("interleaved", &[2, 20_000], &[1, 2], 0, 40_000),
        ("one word", &[1, 1], &[1, 1], 5, 9),
    ];
    for (name, shape, strides, offset, len) in cases {
        let dst = Layout::new(shape, strides, offset);
        for (kind, src) in [
            ("contiguous", Layout::contiguous(shape, 2)),
            ("reversed strides", {
                let mut at = 1;
                let strides: Vec<isize> = shape
                    .iter()
                    .map(|&n| {
                        at *= n as isize;
                        at / n as isize
                    })
                    .collect();
                Layout::new(shape, &strides, 1)
            }),
            ("scalar", Layout::new(shape, &vec![0; shape.len()], 8)),
        ] {
            let before = words(len + 1)[1..].to_vec();
            let params = CopyParams { src, dst };
            let what = format!("{name} from {kind}");
            let found = check(&what, &COPY, &params, &[&x], &[Out::UpdateWords(before.clone())]);
            let mut expected = before;
            (0..src.len()).for_each(|i| expected[dst.index(i)] = x[src.index(i)]);
            assert!(found[0][..len] == expected, "{what}");
        }
    }
}

#[test]
fn gather_rows_and_adjoint_match_reference_bits() {
    for (n_rows, width, m) in [
        (0, 3, 0),
        (0, 3, 5),
        (5, 0, 4),
        (5, 3, 0),
        (1, 1, 1),
        (7, 1, 1000),
        (300, 65, 257),
        (64, 800, 33),
        (9000, 17, 64),
    ] {
        for wild in [false, true] {
            let index: Vec<u32> = [9, 9].into_iter().chain(indices(m, n_rows, wild)).collect();
            let p =
                RowsParams { x_offset: 1, index_offset: 2, n_rows: n_rows as u32, width: width as u32, m: m as u32 };
            let what = format!("{n_rows}x{width} by {m}");
            check(&what, &ROWS, &p, &[&words(n_rows * width + 1), &index], &[Out::Words(m * width)]);
            for x in [hostile(m * width + 1, 20), ordinary(m * width + 1, 21)] {
                check(&what, &ADD_ROWS, &p, &[bits(&x), &index], &[Out::Floats(n_rows * width)]);
            }
        }
    }
}

#[test]
fn gather_rows_of_an_unknown_index_are_zero() {
    let p = RowsParams { x_offset: 0, index_offset: 0, n_rows: 2, width: 2, m: 3 };
    let x = [1.0f32, 2.0, 3.0, 4.0];
    let found = check("2 rows", &ROWS, &p, &[bits(&x), &[1, 2, 0]], &[Out::Floats(6)]);
    assert_eq!(bytemuck::cast_slice::<u32, f32>(&found[0][..6]), [3.0, 4.0, 0.0, 0.0, 1.0, 2.0]);
}

#[test]
fn gather_scatter_rows_matches_reference_bits() {
    for (n_rows, width, m) in
        [(0, 3, 0), (5, 0, 4), (5, 3, 0), (1, 1, 1), (300, 65, 257), (1000, 50, 64), (9001, 17, 9000)]
    {
        let x = words(m * width);
        // 1 + 7 i modulo a prime beyond n_rows: all different, some out of range.
        let modulus = [2, 7, 307, 1009, 9007].into_iter().find(|&p| p > n_rows).expect("covered");
        let index: Vec<u32> = (0..m).map(|i| ((1 + 5 * i) % modulus) as u32).collect();
        let p = RowsParams { x_offset: 0, index_offset: 0, n_rows: n_rows as u32, width: width as u32, m: m as u32 };
        let first = words(n_rows * width + 3)[3..].to_vec();
        let found = check(
            &format!("{n_rows}x{width} by {m}"),
            &SCATTER_ROWS,
            &p,
            &[&x, &index],
            &[Out::UpdateWords(first.clone())],
        );
        for r in 0..n_rows {
            let expected = match index.iter().position(|&j| j as usize == r) {
                Some(i) => &x[i * width..][..width],
                None => &first[r * width..][..width],
            };
            assert_eq!(&found[0][r * width..][..width], expected, "row {r} of {n_rows}x{width}");
        }
    }
}

#[test]
fn gather_along_and_adjoint_match_reference_bits() {
    for (outer, n, m, inner) in [
        (0, 3, 2, 4),
        (2, 0, 3, 4),
        (2, 3, 0, 4),
        (2, 3, 4, 0),
        (1, 1, 1, 1),
        (257, 10, 1, 1),
        (3, 17, 31, 5),
        (1, 65, 129, 257),
        (1000, 14, 20, 1),
    ] {
        for wild in [false, true] {
            let index = indices(outer * m * inner, n, wild);
            let p = AlongParams {
                x_offset: 2,
                index_offset: 0,
                outer: outer as u32,
                n: n as u32,
                inner: inner as u32,
                m: m as u32,
            };
            let what = format!("{outer}x{n}x{inner} by {m}");
            let x = words(outer * n * inner + 2);
            check(&what, &ALONG, &p, &[&x, &index], &[Out::Words(outer * m * inner)]);
            for x in [hostile(outer * m * inner + 2, 22), ordinary(outer * m * inner + 2, 23)] {
                check(&what, &ADD_ALONG, &p, &[bits(&x), &index], &[Out::Floats(outer * n * inner)]);
            }
        }
    }
}

#[test]
fn gather_one_hot_matches_reference_bits() {
    for (m, classes) in [(0, 3), (4, 0), (1, 1), (257, 10), (5000, 17)] {
        let index = indices(m + 1, classes, true);
        let p = OneHotParams { index_offset: 1, m: m as u32, classes: classes as u32 };
        let found = check(&format!("{m} of {classes}"), &ONE_HOT, &p, &[&index], &[Out::Floats(m * classes)]);
        for i in 0..m {
            let ones = found[0][i * classes..][..classes].iter().filter(|&&w| w == 1.0f32.to_bits()).count();
            assert_eq!(ones, usize::from((index[i + 1] as usize) < classes), "row {i}");
        }
    }
}
