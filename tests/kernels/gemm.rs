use crate::harness::*;
use cytograd::kernel::gemm::*;

fn run(what: &str, p: &GemmParams, a: &[f32], b: &[f32], bias: &[f32], residual: &[f32]) -> Vec<Vec<u32>> {
    let out = p.products() * (p.m * p.n) as usize;
    let inputs = [bits(a), bits(b), bits(bias), bits(residual)];
    check_geometry(what, &GEMM, p, &inputs, &[Out::Floats(out)], [p.n, p.m, p.products() as u32])
}

fn shapes() -> Vec<(usize, usize, usize)> {
    let small = [0, 1, 2, 3, 7, 17];
    let mut all = Vec::new();
    for m in small {
        for n in small {
            all.extend(small.map(|k| (m, n, k)));
        }
    }
    all.extend([
        (1, 1, 600),
        (1, 600, 257),
        (600, 1, 257),
        (513, 3, 64),
        (3, 513, 65),
        (64, 10, 200),
        (64, 50, 255),
        (65, 65, 256),
        (64, 64, 513),
        (17, 33, 600),
        (257, 129, 31),
        (2, 255, 512),
        (127, 2, 1024),
        (33, 300, 257),
        (300, 31, 257),
        (15, 16, 1),
        (31, 48, 2),
        (49, 97, 7),
        (70, 66, 1024),
        (530, 40, 9),
        (20, 530, 270),
    ]);
    all
}

/// Both operands in the four transpose forms, from element 5 of a buffer, row-major or transposed.
pub fn forms(m: usize, n: usize, k: usize) -> [(&'static str, GemmParams); 4] {
    let plain = GemmParams::plain(m, n, k);
    let shift = |o: Operand| Operand { offset: 5, ..o };
    let (a, at) = (shift(Operand::row_major(k)), shift(Operand::row_major(m).transposed()));
    let (b, bt) = (shift(Operand::row_major(n)), shift(Operand::row_major(k).transposed()));
    [
        ("nn", GemmParams { a, b, ..plain }),
        ("nt", GemmParams { a, b: bt, ..plain }),
        ("tn", GemmParams { a: at, b, ..plain }),
        ("tt", GemmParams { a: at, b: bt, ..plain }),
    ]
}

#[test]
fn gemm_matches_reference_bits_in_all_transpose_forms() {
    for (m, n, k) in shapes() {
        let (a, b) = (ordinary(m * k + 5, 1), ordinary(k * n + 5, 2));
        for (form, p) in forms(m, n, k) {
            run(&format!("{form} {m}x{k}x{n}"), &p, &a, &b, &[], &[]);
        }
    }
}

#[test]
fn gemm_matches_reference_bits_on_hostile_values() {
    for (m, n, k) in [(3, 5, 7), (17, 33, 65), (1, 70, 300), (70, 1, 300), (40, 40, 257), (64, 10, 50)] {
        for (seed, values) in [(3, hostile as fn(usize, u32) -> Vec<f32>), (4, finite)] {
            let (a, b) = (values(m * k + 5, seed), values(k * n + 5, seed + 10));
            for (form, p) in forms(m, n, k) {
                run(&format!("{form} {m}x{k}x{n} hostile"), &p, &a, &b, &[], &[]);
            }
        }
        // Products and sums of subnormals, signs of zero.
        let tiny = |n, seed| ordinary(n, seed).iter().map(|v| v * 1e-21).collect::<Vec<f32>>();
        for (form, p) in forms(m, n, k) {
            run(&format!("{form} {m}x{k}x{n} tiny"), &p, &tiny(m * k + 5, 5), &tiny(k * n + 5, 6), &[], &[]);
        }
    }
}

#[test]
fn gemm_epilogue_matches_reference_bits() {
    for (m, n, k) in [(5, 7, 3), (33, 65, 300), (64, 10, 40), (1, 257, 2), (257, 1, 2), (3, 4, 0)] {
        let (a, b) = (ordinary(m * k, 1), ordinary(k * n, 2));
        let (bias, residual) = (hostile(n + 3, 3), hostile(m * n + 2, 4));
        for activation in Activation::ALL {
            for (with_bias, with_residual) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                let epilogue = Epilogue { bias: with_bias, bias_offset: 3, activation: activation as u32, a: 0.25 };
                let plain = GemmParams::plain(m, n, k);
                let p = GemmParams { residual: with_residual, residual_offset: 2, epilogue, ..plain };
                let what = format!("{m}x{k}x{n} {activation:?} bias {with_bias} residual {with_residual}");
                run(&what, &p, &a, &b, &bias, &residual);
            }
        }
    }
}

#[test]
fn gemm_matches_reference_bits_on_batches_and_views() {
    let (a, b) = (ordinary(20_000, 1), ordinary(20_000, 2));
    let (bias, residual) = (ordinary(100, 3), ordinary(20_000, 4));
    let epilogue = Epilogue { bias: 1, bias_offset: 0, activation: Activation::Relu as u32, a: 0.0 };
    for (m, n, k) in [(5, 17, 9), (1, 1, 3), (16, 32, 4), (7, 3, 0), (20, 40, 11)] {
        let (mk, kn) = ((m * k) as i32, (k * n) as i32);
        let plain = GemmParams { epilogue, residual: 1, ..GemmParams::plain(m, n, k) };
        let (x, y) = (plain.a, plain.b);
        let cases = [
            ("three products", [1, 1, 1, 3], [0, 0, 0, mk], [0, 0, 0, kn]),
            ("one matrix for all", [1, 1, 1, 5], [0, 0, 0, mk], [0; 4]),
            ("two axes crossed", [1, 1, 3, 4], [0, 0, mk, 0], [0, 0, 0, kn]),
            ("four axes", [2, 1, 3, 2], [mk, 7, 0, 2 * mk], [1, 9, 2, 3]),
            ("no product", [1, 0, 2, 1], [0; 4], [0; 4]),
        ];
        for (what, batch, sa, sb) in cases {
            let p = GemmParams { batch, a: Operand { batch: sa, ..x }, b: Operand { batch: sb, ..y }, ..plain };
            run(&format!("{what} {m}x{k}x{n}"), &p, &a, &b, &bias, &residual);
        }
        // Every second row backwards, columns backwards, rows that overlap, a broadcast row.
        let views = [
            ("flipped rows", Operand { row: -2 * k as i32, offset: 10_000, ..x }, y),
            ("flipped columns", Operand { col: -1, offset: 500, ..x }, Operand { col: -1, offset: 300, ..y }),
            ("spread", Operand { row: 37, col: 3, ..x }, Operand { row: 5, col: 41, ..y }),
            ("overlapping", Operand { row: 1, col: 2, ..x }, Operand { row: 2, col: 1, ..y }),
            ("broadcast", Operand { row: 0, col: 1, ..x }, Operand { row: 1, col: 0, ..y }),
        ];
        for (what, va, vb) in views {
            run(&format!("{what} {m}x{k}x{n}"), &GemmParams { a: va, b: vb, ..plain }, &a, &b, &bias, &residual);
        }
    }
}

#[test]
fn gemm_matches_reference_bits_on_spread_operands_of_several_blocks() {
    let (m, n, k) = (40, 300, 290);
    let (a, b) = (ordinary(2 * m * k, 1), ordinary(2 * k * n, 2));
    let plain = GemmParams::plain(m, n, k);
    let wide = |cols: usize| Operand { row: 2 * cols as i32, col: 2, ..plain.a };
    let tall = |rows: usize| Operand { row: 2, col: 2 * rows as i32, ..plain.a };
    for (left, right) in [(wide(k), wide(n)), (wide(k), tall(k)), (tall(m), wide(n)), (tall(m), tall(k))] {
        run("spread", &GemmParams { a: left, b: right, ..plain }, &a, &b, &[], &[]);
    }
}

#[test]
fn gemm_equals_matrixmultiply_where_fma_exists() {
    if !cfg!(target_arch = "x86_64") || cytograd::cpu::simd::level() < cytograd::cpu::simd::Level::V3 {
        return;
    }
    for (m, n, k) in [(65, 70, 600), (3, 200, 257), (64, 10, 800)] {
        let (a, b) = (ordinary(m * k, 1), ordinary(k * n, 2));
        let found = run("plain", &GemmParams::plain(m, n, k), &a, &b, &[], &[]);
        let mut expected = vec![0.0f32; m * n];
        let (sk, sn) = (k as isize, n as isize);
        // SAFETY: the sizes are those of the vectors.
        unsafe {
            let (a, b, c) = (a.as_ptr(), b.as_ptr(), expected.as_mut_ptr());
            matrixmultiply::sgemm(m, k, n, 1.0, a, sk, 1, b, sn, 1, 0.0, c, sn, 1);
        }
        assert_eq!(&found[0][..m * n], bits(&expected), "{m}x{k}x{n}");
    }
}

#[cfg(feature = "cuda")]
#[test]
fn every_tile_and_cut_of_k_gives_the_reference_bits() {
    use crate::plans;
    use cytograd::cuda::gemm::choices;
    let bias = hostile(300, 3);
    for (m, n, k) in [(3, 4, 0), (1, 1, 700), (33, 65, 300), (128, 128, 256), (129, 70, 517), (20, 70, 1040)] {
        let (a, b) = (finite(m * k + 5, 1), finite(k * n + 5, 2));
        for (form, p) in forms(m, n, k) {
            for offset in [4, 5] {
                let epilogue = Epilogue { bias: 1, bias_offset: 2, ..Epilogue::NONE };
                let shifted = |o| Operand { offset, ..o };
                let p = GemmParams { epilogue, a: shifted(p.a), b: shifted(p.b), ..p };
                let ways = choices(&p, &plans::CHIP).map(|choice| (format!("{choice:?}"), choice.plan(&p)));
                let what = format!("{form} {m}x{k}x{n} from {offset}");
                plans::check(&what, &GEMM, &p, &[bits(&a), bits(&b), bits(&bias), &[]], m * n, ways);
            }
        }
    }
    // Several products.
    let (m, n, k) = (19, 40, 530);
    let (a, b) = (ordinary(3 * m * k, 1), ordinary(3 * k * n, 2));
    let plain = GemmParams::plain(m, n, k);
    let batched = |o: Operand, apart: usize| Operand { batch: [0, 0, 0, apart as i32], ..o };
    let p = GemmParams { batch: [1, 1, 1, 3], a: batched(plain.a, m * k), b: batched(plain.b, k * n), ..plain };
    let ways = choices(&p, &plans::CHIP).map(|choice| (format!("{choice:?}"), choice.plan(&p)));
    plans::check("three products", &GEMM, &p, &[bits(&a), bits(&b), &[], &[]], 3 * m * n, ways);
}
