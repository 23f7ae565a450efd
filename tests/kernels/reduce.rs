use crate::harness::*;
use bytemuck::cast_slice;
use cytograd::kernel::reduce::*;

/// (outer, n, inner)
const SHAPES: [(usize, usize, usize); 18] = [
    (0, 3, 5),
    (3, 0, 5),
    (3, 5, 0),
    (1, 1, 1),
    (1, 64, 1),
    (1, 65, 10),
    (5, 63, 17),
    (2, 129, 33),
    (1, 64, 800),
    (3, 7, 257),
    (7, 4, 129),
    (1, 4099, 3),
    (2, 2051, 5),
    (1, 200, 1000),
    (70_001, 2, 1),
    (1, 1025, 64),
    (9, 1, 31),
    (2, 130, 3100),
];

#[test]
fn reduce_last_matches_reference_bits() {
    for n in SIZES.into_iter().chain([5, 10, 15, 16, 32, 33, 100, 256, 300, 511, 512, 513]) {
        for rows in [0, 1, 3, 33, 1000] {
            for (kind, x) in [("hostile", hostile(rows * n + 5, 7)), ("ordinary", ordinary(rows * n + 5, 8))] {
                for op in Reduce::ALL {
                    let p = LastParams { op: op as u32, offset: 5, rows: rows as u32, n: n as u32 };
                    check(&format!("{op:?} {rows}x{n} {kind}"), &LAST, &p, &[bits(&x)], &[Out::Floats(rows)]);
                }
            }
        }
    }
}

/// Rows so long that a GPU gives each to a large block.
#[test]
fn reduce_last_of_long_rows_matches_reference_bits() {
    for n in [8191, 8192, 16_384, 16_385, 50_001] {
        for (kind, x) in [("hostile", hostile(3 * n + 1, 20)), ("ordinary", ordinary(3 * n + 1, 21))] {
            for op in Reduce::ALL {
                let p = LastParams { op: op as u32, offset: 1, rows: 3, n: n as u32 };
                check(&format!("{op:?} 3x{n} {kind}"), &LAST, &p, &[bits(&x)], &[Out::Floats(3)]);
            }
        }
    }
}

#[test]
fn reduce_axis_matches_reference_bits() {
    for (outer, n, inner) in SHAPES {
        let len = outer * n * inner + 3;
        for (kind, x) in [("hostile", hostile(len, 9)), ("finite", finite(len, 10)), ("ordinary", ordinary(len, 11))] {
            for op in Reduce::ALL {
                let p = AxisParams { op: op as u32, offset: 3, outer: outer as u32, n: n as u32, inner: inner as u32 };
                let what = format!("{op:?} {outer}x{n}x{inner} {kind}");
                check(&what, &AXIS, &p, &[bits(&x)], &[Out::Floats(outer * inner)]);
            }
        }
    }
}

#[test]
fn reduce_all_matches_reference_bits() {
    for n in SIZES.into_iter().chain([65_535, 65_536, 65_537, 200_000]) {
        for (kind, x) in [("hostile", hostile(n + 1, 12)), ("ordinary", ordinary(n + 1, 13))] {
            for op in Reduce::ALL {
                let p = AllParams { op: op as u32, offset: 1, n: n as u32 };
                check(&format!("{op:?} of {n} {kind}"), &ALL, &p, &[bits(&x)], &[Out::Floats(1)]);
            }
        }
    }
}

#[test]
fn reduce_all_joins_segment_totals_by_lanes() {
    let n = 3 * SEGMENT + 17;
    let x = ordinary(n, 14);
    let p = AllParams { op: Reduce::Sum as u32, offset: 0, n: n as u32 };
    let found = check("three segments", &ALL, &p, &[bits(&x)], &[Out::Floats(1)]);
    let segment = |part: &[f32]| {
        let count = part.len().next_power_of_two().min(LANES);
        let mut lanes: Vec<f32> =
            (0..count).map(|l| part.iter().skip(l).step_by(count).fold(0.0, |s, v| s + v)).collect();
        while lanes.len() > 1 {
            let high = lanes.split_off(lanes.len() / 2);
            lanes.iter_mut().zip(high).for_each(|(a, b)| *a += b);
        }
        lanes[0]
    };
    let totals: Vec<f32> = x.chunks(SEGMENT).map(segment).collect();
    assert_eq!(found[0][0], segment(&totals).to_bits());
}

#[test]
fn reduce_values_are_right() {
    let x = ordinary(4099 * 3, 15);
    let p = LastParams { op: Reduce::Sum as u32, offset: 0, rows: 3, n: 4099 };
    let sums = check("sum", &LAST, &p, &[bits(&x)], &[Out::Floats(3)]);
    for (r, &sum) in cast_slice::<u32, f32>(&sums[0][..3]).iter().enumerate() {
        let exact: f64 = x[r * 4099..][..4099].iter().map(|&v| f64::from(v)).sum();
        assert!((f64::from(sum) - exact).abs() < 1e-3, "{sum} {exact}");
    }
    let one = |op, n: usize, x: &[f32]| {
        let p = LastParams { op: op as u32, offset: 0, rows: 1, n: n as u32 };
        f32::from_bits(check("one", &LAST, &p, &[bits(x)], &[Out::Floats(1)])[0][0])
    };
    assert_eq!(one(Reduce::Sum, 0, &[]), 0.0);
    assert_eq!(one(Reduce::Max, 0, &[]), f32::NEG_INFINITY);
    assert_eq!(one(Reduce::Min, 0, &[]), f32::INFINITY);
    assert!(one(Reduce::Max, 3, &[1.0, f32::NAN, 2.0]).is_nan());
    assert!(one(Reduce::Min, 3, &[f32::NAN, 1.0, 2.0]).is_nan());
    assert_eq!(one(Reduce::Max, 3, &[1.0, 7.0, 2.0]), 7.0);
    assert_eq!(one(Reduce::Min, 3, &[1.0, -7.0, 2.0]), -7.0);
}

#[test]
fn reduce_arg_matches_reference_bits() {
    for (outer, n, inner) in SHAPES.into_iter().chain([(257, 10, 1), (33, 300, 1), (3, 4099, 1), (40, 17, 1)]) {
        let len = outer * n * inner + 2;
        let coarse: Vec<f32> = ordinary(len, 16).iter().map(|v| (v * 2.0).round()).collect();
        for (kind, x) in
            [("hostile", hostile(len, 17)), ("with ties", coarse), ("all -inf", vec![f32::NEG_INFINITY; len])]
        {
            for op in Arg::ALL {
                let p = AxisParams { op: op as u32, offset: 2, outer: outer as u32, n: n as u32, inner: inner as u32 };
                let what = format!("{op:?} {outer}x{n}x{inner} {kind}");
                check(&what, &ARG, &p, &[bits(&x)], &[Out::Words(outer * inner)]);
            }
        }
    }
}

#[test]
fn reduce_arg_takes_the_first_of_ties_and_of_nans() {
    let place = |op: Arg, x: &[f32]| {
        let p = AxisParams { op: op as u32, offset: 0, outer: 1, n: x.len() as u32, inner: 1 };
        check("place", &ARG, &p, &[bits(x)], &[Out::Words(1)])[0][0]
    };
    assert_eq!(place(Arg::Max, &[1.0, 3.0, 3.0, 2.0]), 1);
    assert_eq!(place(Arg::Min, &[1.0, 0.0, -0.0, 2.0]), 1);
    assert_eq!(place(Arg::Max, &[1.0, f32::NAN, f32::INFINITY, f32::NAN]), 1);
    assert_eq!(place(Arg::Min, &[1.0, f32::NAN, f32::NEG_INFINITY]), 1);
}

#[test]
fn reduce_scan_matches_reference_bits() {
    for (outer, n, inner) in SHAPES {
        let len = outer * n * inner;
        for (kind, x) in [("hostile", hostile(len, 18)), ("ordinary", ordinary(len, 19))] {
            let p = ScanParams { offset: 0, outer: outer as u32, n: n as u32, inner: inner as u32 };
            check(&format!("{outer}x{n}x{inner} {kind}"), &SCAN, &p, &[bits(&x)], &[Out::Floats(len)]);
        }
    }
    let p = ScanParams { offset: 0, outer: 1, n: 4, inner: 1 };
    let found = check("1 2 3 4", &SCAN, &p, &[bits(&[1.0, 2.0, 3.0, 4.0])], &[Out::Floats(4)]);
    assert_eq!(cast_slice::<u32, f32>(&found[0][..4]), [1.0, 3.0, 6.0, 10.0]);
}
