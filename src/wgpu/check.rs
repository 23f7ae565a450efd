//! The strict self-check of an adapter: does each basic operation return the bits that IEEE 754 asks for,
//! and which form of `mul_add`, `quotient` and `root` does?
//!
//! Runs on the adapter itself, on 2^20 random triples and on all triples of values that tell. An adapter
//! that fails in an operation without another form cannot keep the numeric contract.

use super::device::{Gpu, Memory};
use super::plan::{Step, buffers, groups};
use super::shader::{Forms, MulAdd};
use crate::error::Result;
use crate::rng::philox;

/// The operations as the adapter runs them.
pub const TEXT: &str = include_str!("../../shaders/check.wgsl");

/// Random triples.
const RANDOM: u32 = 1 << 20;

/// What an operation must give.
type Expected = fn(u32, u32, u32) -> u32;

/// A name in words, the function of the text, and what it must give.
type Operation = (&'static str, &'static str, Expected);

fn f(bits: u32) -> f32 {
    f32::from_bits(bits)
}

/// Operations without another form.
const PLAIN: [Operation; 21] = [
    ("addition", "check_add", |a, b, _| (f(a) + f(b)).to_bits()),
    ("subtraction", "check_sub", |a, b, _| (f(a) - f(b)).to_bits()),
    ("multiplication", "check_mul", |a, b, _| (f(a) * f(b)).to_bits()),
    ("negation", "check_neg", |a, _, _| (-f(a)).to_bits()),
    ("a product and a sum, rounded separately", "check_separate", |a, b, c| (f(a) * f(b) + f(c)).to_bits()),
    ("a difference of products", "check_separate_difference", |a, b, c| (f(a) * f(b) - f(c) * f(a)).to_bits()),
    ("(a + b) - a without regrouping", "check_cancel", |a, b, _| ((f(a) + f(b)) - f(a)).to_bits()),
    ("a - a of infinities", "check_self", |a, b, c| ((f(a) - f(a)) + (f(b) - f(c))).to_bits()),
    ("constants without regrouping", "check_constants", |a, _, _| (((f(a) + 1.1) + 2.3) * 1.7 * 2.9).to_bits()),
    ("rounding by addition", "check_round", |a, _, _| ((f(a) + 12_582_912.0) - 12_582_912.0).to_bits()),
    ("a common factor left alone", "check_factor", |a, b, c| (f(a) * f(b) + f(a) * f(c)).to_bits()),
    ("the error of a sum", "check_two_sum", |a, b, _| {
        let s = f(a) + f(b);
        let t = s - f(a);
        ((f(a) - (s - t)) + (f(b) - t)).to_bits()
    }),
    ("0 + a", "check_from_zero", |a, _, _| (0.0 + f(a)).to_bits()),
    ("0 - a", "check_less_from_zero", |a, _, _| (0.0 - f(a)).to_bits()),
    ("the test for NaN", "check_is_nan", |a, _, _| f(a).is_nan().into()),
    ("comparisons", "check_compare", |a, b, _| {
        let (a, b) = (f(a), f(b));
        let all = [a < b, a <= b, a > b, a >= b, a == b, a != b, !(a < b), !(a >= b)];
        all.iter().enumerate().map(|(k, &is)| u32::from(is) << k).sum()
    }),
    ("a choice by comparison", "check_smaller", |a, b, _| if f(a) < f(b) { a } else { b }),
    ("a clamp that keeps NaN", "check_clamp", |a, _, _| {
        let x = if f(a) > 89.0 { 89.0 } else { f(a) };
        (if x < -105.0 { -105.0 } else { x }).to_bits()
    }),
    ("f32 of unsigned integers", "check_from_u32", |a, _, _| (a as f32).to_bits()),
    ("f32 of integers", "check_from_i32", |a, _, _| (a as i32 as f32).to_bits()),
    ("the high word of a product", "check_high", |a, b, _| ((u64::from(a) * u64::from(b)) >> 32) as u32),
];

const TO_INTEGER: Operation = ("integers of f32", "check_to_i32", |a, _, _| {
    let x = f(a).abs();
    (if x < 33_554_432.0 { x } else { 33_554_432.0 }) as i32 as u32
});
const MUL_ADD: Operation = ("fused multiply-add", "check_mul_add", |a, b, c| f(a).mul_add(f(b), f(c)).to_bits());
const QUOTIENT: Operation = ("division", "check_quotient", |a, b, _| (f(a) / f(b)).to_bits());
const RECIPROCAL: Operation = ("division of 1", "check_reciprocal", |a, _, _| (1.0 / f(a)).to_bits());
const ROOT: Operation = ("square root", "check_root", |a, _, _| f(a).sqrt().to_bits());

/// The exact forms of an adapter, or the first operation that it has no exact form of, with a wrong result.
pub type Verdict = std::result::Result<Forms, String>;

/// Checks an adapter.
///
/// # Errors
/// Those of the device; a wrong bit is none, but a [`Verdict`].
pub fn examine(gpu: &Gpu) -> Result<Verdict> {
    let check = Check::new(gpu)?;
    for operation in PLAIN.into_iter().chain([TO_INTEGER]) {
        if let Some(what) = check.wrong(Forms::NATIVE, operation)? {
            return Ok(Err(format!("{}: {what}", operation.0)));
        }
    }
    let mul_add = |mul_add| Forms { mul_add, ..Forms::NATIVE };
    let double: &[Forms] = if gpu.has_double() { &[mul_add(MulAdd::Double)] } else { &[] };
    let candidates = [&[Forms::NATIVE], double, &[mul_add(MulAdd::Integers)]].concat();
    let Forms { mul_add, .. } = match check.first_right(&candidates, &[MUL_ADD])? {
        Ok(forms) => forms,
        Err(what) => return Ok(Err(what)),
    };
    let quotient = [true, false].map(|native_quotient| Forms { native_quotient, ..Forms::NATIVE });
    let root = [true, false].map(|native_root| Forms { native_root, ..Forms::NATIVE });
    let quotient = check.first_right(&quotient, &[QUOTIENT, RECIPROCAL])?;
    let root = check.first_right(&root, &[ROOT])?;
    Ok(quotient.and_then(|quotient| {
        root.map(|root| Forms { mul_add, native_quotient: quotient.native_quotient, native_root: root.native_root })
    }))
}

/// Checks all forms, also those that the adapter does not need: for tests.
///
/// # Errors
/// Those of the device.
pub fn all_forms_wrong(gpu: &Gpu) -> Result<Vec<String>> {
    let check = Check::new(gpu)?;
    let mut found = Vec::new();
    let forms = |mul_add| Forms { mul_add, native_quotient: false, native_root: false };
    let mut all = vec![(forms(MulAdd::Integers), MUL_ADD)];
    all.extend(gpu.has_double().then_some((forms(MulAdd::Double), MUL_ADD)));
    all.extend([QUOTIENT, RECIPROCAL, ROOT].map(|operation| (forms(MulAdd::Integers), operation)));
    for (forms, operation) in all {
        found.extend(check.wrong(forms, operation)?.map(|what| format!("{} of {forms:?}: {what}", operation.0)));
    }
    Ok(found)
}

struct Check<'a> {
    gpu: &'a Gpu,
    values: [Vec<u32>; 3],
    buffers: [Memory; 4],
}

impl<'a> Check<'a> {
    fn new(gpu: &'a Gpu) -> Result<Self> {
        let values = triples();
        let bytes = values[0].len() * 4;
        let buffers = [gpu.alloc(bytes)?, gpu.alloc(bytes)?, gpu.alloc(bytes)?, gpu.alloc(bytes)?];
        for (buffer, values) in buffers.iter().zip(&values) {
            gpu.upload(buffer, bytemuck::cast_slice(values))?;
        }
        Ok(Check { gpu, values, buffers })
    }

    /// The first of these forms in which all operations are right.
    fn first_right(&self, candidates: &[Forms], operations: &[Operation]) -> Result<Verdict> {
        let mut wrong = String::new();
        for &forms in candidates {
            let mut right = true;
            for &operation in operations {
                if let Some(what) = self.wrong(forms, operation)? {
                    wrong = format!("{}: {what}", operation.0);
                    right = false;
                    break;
                }
            }
            if right {
                return Ok(Ok(forms));
            }
        }
        Ok(Err(wrong))
    }

    /// The first wrong result, in words.
    fn wrong(&self, forms: Forms, (_, function, expected): Operation) -> Result<Option<String>> {
        let [a, b, c] = &self.values;
        let n = a.len();
        let step = Step::new("check", &buffers(4), groups(n as u64)).choose("$CHECK", function).word(n as u32);
        self.gpu.launch("check", &step, &[], &self.buffers.each_ref(), forms)?;
        let mut found = vec![0u32; n];
        self.gpu.download(&self.buffers[3], bytemuck::cast_slice_mut(&mut found))?;
        // A function that gives no float has no result that would be one.
        let nan = |word: u32| f(word).is_nan();
        let first = (0..n).find(|&i| {
            let (f, e) = (found[i], expected(a[i], b[i], c[i]));
            f != e && !(nan(f) && nan(e))
        });
        Ok(first.map(|i| {
            let want = expected(a[i], b[i], c[i]);
            format!("that of {:#010x}, {:#010x}, {:#010x} is {:#010x}, not {want:#010x}", a[i], b[i], c[i], found[i])
        }))
    }
}

/// Values that tell, in all triples; random bits; numbers of ordinary size, whose sums cancel.
fn triples() -> [Vec<u32>; 3] {
    let odd = [
        0.0,
        1.0,
        1.5,
        3.0,
        0.1,
        f32::EPSILON,
        1.0 + f32::EPSILON,
        2.0 - f32::EPSILON,
        16_777_215.0,
        16_777_217.0,
        f32::MAX,
        f32::MIN_POSITIVE,
        f32::MIN_POSITIVE - f32::from_bits(1),
        f32::from_bits(1),
        f32::from_bits(3),
        f32::from_bits(0x0000_ffff),
        1.0e-30,
        3.0e20,
        f32::INFINITY,
        f32::NAN,
    ];
    let odd: Vec<u32> = odd.iter().flat_map(|&v: &f32| [v, -v]).map(f32::to_bits).collect();
    let mut all: [Vec<u32>; 3] = Default::default();
    for &a in &odd {
        for &b in &odd {
            for &c in &odd {
                for (list, value) in all.iter_mut().zip([a, b, c]) {
                    list.push(value);
                }
            }
        }
    }
    for i in 0..RANDOM {
        let random = philox([i, 0, 0, 0], [0x5eed, 0]);
        for (k, (list, mut word)) in all.iter_mut().zip(random).enumerate() {
            // A sixteenth has any bits, the rest exponents from -20 to 20; a third of the c is near -a b.
            if !i.is_multiple_of(16) {
                word = (word & 0x807f_ffff) | ((107 + (word >> 8) % 41) << 23);
            }
            if k == 2 && i.is_multiple_of(3) {
                word = (-(f(random[0]) * f(random[1]))).to_bits() ^ (word & 3);
            }
            list.push(word);
        }
    }
    all
}
