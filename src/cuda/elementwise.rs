//! Launches of `kernel::elementwise`.

use super::plan::{Arg, Chip, Plan, Planner, Step, sweep};
use crate::kernel::elementwise::*;
use crate::kernel::{Kernel, Layout, MAX_RANK, params};

/// The kernels of the family, each with its planner.
pub static KERNELS: [(&Kernel, Planner); 4] = [(&UNARY, unary), (&BINARY, binary), (&SELECT, select), (&FILL, fill)];

/// The functions of a map: for contiguous views, for views of rows and columns, for any views.
/// And how many elements a thread takes at a time.
type Functions = ([&'static str; 3], u64);

macro_rules! functions {
    ($name:literal, $each:literal) => {
        ([concat!($name, "_flat"), concat!($name, "_rows"), concat!($name, "_strided")], $each)
    };
}

const LIGHT: Functions = functions!("elementwise_unary_light", 4);
const SMOOTH: Functions = functions!("elementwise_unary_smooth", 4);
const HEAVY: Functions = functions!("elementwise_unary_heavy", 1);
const BINARY_LIGHT: Functions = functions!("elementwise_binary_light", 4);
const BINARY_HEAVY: Functions = functions!("elementwise_binary_heavy", 1);
const CHOOSE: Functions = functions!("elementwise_select", 4);

fn unary(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    use Unary::*;
    let p: UnaryParams = params(bytes);
    let functions = match Unary::from_code(p.op) {
        Some(Exp | Expm1 | Ln | Log1p | Tanh | Sigmoid | LogSigmoid | Softplus | Erf | Elu) => SMOOTH,
        Some(Sin | Cos | Lgamma | Digamma | Trigamma | PowScalar) => HEAVY,
        _ => LIGHT,
    };
    map(functions, [p.x], chip)
}

fn binary(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: BinaryParams = params(bytes);
    let heavy = Binary::from_code(p.op) == Some(Binary::Pow);
    map(if heavy { BINARY_HEAVY } else { BINARY_LIGHT }, [p.x, p.y], chip)
}

fn select(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: SelectParams = params(bytes);
    map(CHOOSE, [p.cond, p.x, p.y], chip)
}

fn fill(bytes: &[u8], _: [u32; 3], chip: &Chip) -> Plan {
    let p: FillParams = params(bytes);
    sweep("elementwise_fill", 1, u64::from(p.n).div_ceil(4), chip)
}

/// A map over views of the same shape.
fn map<const N: usize>(functions: Functions, views: [Layout; N], chip: &Chip) -> Plan {
    let n = views[0].len() as u64;
    let buffers = N as u8 + 1;
    let ([flat, rows, strided], each) = functions;
    if views.iter().all(Layout::is_contiguous) {
        return sweep(flat, buffers, n.div_ceil(each), chip);
    }
    match rows_and_columns(&views) {
        Some((columns, strides)) if n > 0 && n <= 1 << 31 => {
            let (magic, shift) = divide_by(columns);
            let step = Step::new(rows, buffers, chip.sweep(n.div_ceil(each)));
            let words = [columns, magic, shift].into_iter().chain(strides.into_iter().flatten().map(|s| s as u32));
            Plan::one(words.fold(step, |step, word| step.arg(Arg::Word(word))))
        }
        _ => sweep(strided, buffers, n, chip),
    }
}

/// Merges the axes that all views step through as through one. If at most two are left: the number
/// of columns, and of each view the strides of a row and of a column.
fn rows_and_columns<const N: usize>(views: &[Layout; N]) -> Option<(u32, [[i32; 2]; N])> {
    // Merged axes, the last one first: size and a stride for each view.
    let mut axes = [(1u64, [0i64; N]); 2];
    let mut count = 0;
    for d in (0..MAX_RANK).rev() {
        let size = u64::from(views[0].shape[d]);
        if size == 1 {
            continue;
        }
        let strides: [i64; N] = std::array::from_fn(|k| i64::from(views[k].strides[d]));
        if count > 0 {
            let (inner, inner_strides) = axes[count - 1];
            if (0..N).all(|k| strides[k] == inner as i64 * inner_strides[k]) {
                axes[count - 1].0 *= size;
                continue;
            }
        }
        *axes.get_mut(count)? = (size, strides);
        count += 1;
    }
    let [(columns, inner), (_, outer)] = axes;
    let mut strides = [[0; 2]; N];
    for k in 0..N {
        strides[k] = [i32::try_from(outer[k]).ok()?, i32::try_from(inner[k]).ok()?];
    }
    Some((u32::try_from(columns).ok()?, strides))
}

/// `(magic, shift)` so that `i / d` is the high word of `i * magic`, shifted right, for every
/// `i < 2^31`; a magic of 0 for `d = 1` (Granlund & Montgomery 1994).
fn divide_by(d: u32) -> (u32, u32) {
    if d <= 1 {
        return (0, 0);
    }
    let bits = 32 - (d - 1).leading_zeros();
    (((1u64 << (31 + bits)) / u64::from(d) + 1) as u32, bits - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_by_multiplication_is_exact() {
        for d in (1..3000).chain([65_535, 65_536, 65_537, 1 << 30, (1 << 30) + 1, (1 << 31) - 1, 1 << 31]) {
            let (magic, shift) = divide_by(d);
            let last = (1u32 << 31) - 1;
            let near = [last / d * d, d, 2 * d.min(1 << 29), last];
            for i in near.into_iter().flat_map(|i| [i.saturating_sub(1), i, (i + 1).min(last)]).filter(|&i| i <= last) {
                let found = if magic == 0 { i } else { ((u64::from(i) * u64::from(magic)) >> 32) as u32 >> shift };
                assert_eq!(found, i / d, "{i} / {d}");
            }
        }
    }

    #[test]
    fn axes_merge_where_all_views_agree() {
        let row = Layout::contiguous(&[3, 5, 7], 0);
        let bias = Layout::new(&[3, 5, 7], &[0, 0, 1], 2);
        assert_eq!(rows_and_columns(&[row, bias]), Some((7, [[7, 1], [0, 1]])));
        assert_eq!(rows_and_columns(&[row]), Some((105, [[0, 1]])));
        let scalar = Layout::new(&[3, 5, 7], &[0, 0, 0], 2);
        assert_eq!(rows_and_columns(&[row, scalar]), Some((105, [[0, 1], [0, 0]])));
        assert_eq!(rows_and_columns(&[Layout::new(&[3, 5, 7], &[1, 21, 3], 0)]), Some((35, [[1, 3]])));
        assert_eq!(rows_and_columns(&[Layout::new(&[3, 5, 7], &[1, 3, 15], 0)]), None);
    }
}
