//! A kernel's text and what the driver gets: WGSL put together from the files in `shaders/`, compiled to
//! SPIR-V here, with every floating-point instruction marked as one that must stay as it is.
//!
//! WGSL lets a driver contract and regroup, and drivers do: Mesa turns `(a + b) - a` into `b`. In SPIR-V the
//! decoration `NoContraction` forbids both for the instruction that it names; WGSL has no word for it, so it
//! is added to what the compiler makes of WGSL.

use ::wgpu::naga::{self, back::spv, compact, front::wgsl, proc, valid};

/// The forms of the basic operations that are exact on an adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Forms {
    /// `a * b + c` rounded once.
    pub mul_add: MulAdd,
    /// Whether `/` of the adapter is rounded to the nearest; else in integers.
    pub native_quotient: bool,
    /// Whether `sqrt` of the adapter is; else in integers.
    pub native_root: bool,
}

/// How `a * b + c` is rounded once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MulAdd {
    /// The adapter's `fma`.
    Native,
    /// In binary64, with 64-bit integers.
    Double,
    /// In 32-bit integers.
    Integers,
}

impl Forms {
    /// The adapter's own operations.
    pub const NATIVE: Forms = Forms { mul_add: MulAdd::Native, native_quotient: true, native_root: true };

    /// In words, as `fused multiply-add in binary64, division native, square root native`.
    pub fn describe(&self) -> String {
        let mul_add = match self.mul_add {
            MulAdd::Native => "native",
            MulAdd::Double => "in binary64",
            MulAdd::Integers => "in integers",
        };
        let form = |native: bool| if native { "native" } else { "in integers" };
        let (quotient, root) = (form(self.native_quotient), form(self.native_root));
        format!("fused multiply-add {mul_add}, division {quotient}, square root {root}")
    }

    fn texts(&self) -> [&'static str; 3] {
        [
            match self.mul_add {
                MulAdd::Native => include_str!("../../shaders/forms/mul_add_native.wgsl"),
                MulAdd::Double => include_str!("../../shaders/forms/mul_add_double.wgsl"),
                MulAdd::Integers => include_str!("../../shaders/forms/mul_add_integers.wgsl"),
            },
            match self.native_quotient {
                true => include_str!("../../shaders/forms/quotient_native.wgsl"),
                false => include_str!("../../shaders/forms/quotient_integers.wgsl"),
            },
            match self.native_root {
                true => include_str!("../../shaders/forms/root_native.wgsl"),
                false => include_str!("../../shaders/forms/root_integers.wgsl"),
            },
        ]
    }
}

/// What all kernels have in front of them.
const PRELUDE: [&str; 14] = [
    include_str!("../../shaders/common.wgsl"),
    include_str!("../../shaders/forms/integers.wgsl"),
    include_str!("../../shaders/math.wgsl"),
    include_str!("../../shaders/math/exp.wgsl"),
    include_str!("../../shaders/math/log.wgsl"),
    include_str!("../../shaders/math/activation.wgsl"),
    include_str!("../../shaders/math/erf.wgsl"),
    include_str!("../../shaders/math/trig.wgsl"),
    include_str!("../../shaders/math/gamma.wgsl"),
    include_str!("../../shaders/math/pow.wgsl"),
    include_str!("../../shaders/math/counts.wgsl"),
    include_str!("../../shaders/rng.wgsl"),
    include_str!("../../shaders/lanes.wgsl"),
    include_str!("../../shaders/epilogue.wgsl"),
];

/// A buffer of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// As the text calls it.
    pub name: String,
    /// `f32`, `u32` or `atomic<u32>`.
    pub element: String,
    /// Whether the entry writes to it.
    pub written: bool,
}

/// An entry of a family's file: `//! entry NAME: x f32, out f32 set`, and what follows up to the next.
pub struct Entry<'a> {
    /// What all entries of the file share.
    shared: &'a str,
    section: &'a str,
    /// Its buffers in order.
    pub slots: Vec<Slot>,
}

const MARK: &str = "//! entry ";

/// The names of the entries of a family's file.
pub fn entries(family: &str) -> impl Iterator<Item = &str> {
    family.split(MARK).skip(1).filter_map(|section| Some(section.split_once(':')?.0))
}

/// The entry of this name in a family's file.
pub fn entry<'a>(family: &'a str, name: &str) -> Option<Entry<'a>> {
    let mut sections = family.split(MARK);
    let shared = sections.next()?;
    let (head, section) = sections.find_map(|section| {
        let (head, text) = section.split_once('\n')?;
        Some((head.strip_prefix(name)?.strip_prefix(':')?, text))
    })?;
    let slot = |text: &str| {
        let mut words = text.split_whitespace();
        let (name, element) = (words.next()?.into(), words.next()?.into());
        Some(Slot { name, element, written: words.next() == Some("set") })
    };
    Some(Entry { shared, section, slots: head.split(',').map(slot).collect::<Option<_>>()? })
}

impl Entry<'_> {
    /// The whole text. `banks`: how many bindings each buffer takes, of `bank` words each; `choices`: what
    /// stands for each `$NAME`.
    pub fn text(&self, forms: Forms, banks: &[u32], bank: u64, choices: &[(&'static str, &'static str)]) -> String {
        let mut text = String::from("@group(0) @binding(0) var<uniform> block: array<vec4<u32>, 16>;\n");
        let mut binding = 1;
        for (slot, &banks) in self.slots.iter().zip(banks) {
            let Slot { name, element, written } = slot;
            let access = if *written { "read_write" } else { "read" };
            for k in 0..banks {
                text +=
                    &format!("@group(0) @binding({binding}) var<storage, {access}> {name}_{k}: array<{element}>;\n");
                binding += 1;
            }
            // All but the last bank: taken if the index lies in it.
            let each = |line: &dyn Fn(u32, &str) -> String| -> String {
                let last = banks - 1;
                let before = (0..last).map(|k| {
                    let (from, to) = (u64::from(k) * bank, (u64::from(k) + 1) * bank);
                    format!("    if (i < {to}u) {{\n        {}\n    }}\n", line(k, &format!("i - {from}u")))
                });
                let from = u64::from(last) * bank;
                before.chain([format!("    {}\n", line(last, &format!("i - {from}u")))]).collect()
            };
            if element.starts_with("atomic") {
                let add = each(&|k, i| format!("return atomicAdd(&{name}_{k}[{i}], value);"));
                text += &format!("fn {name}_add(i: u32, value: u32) -> u32 {{\n{add}}}\n");
                continue;
            }
            let read = each(&|k, i| format!("return {name}_{k}[{i}];"));
            text += &format!("fn {name}_at(i: u32) -> {element} {{\n{read}}}\n");
            if *written {
                let write = each(&|k, i| format!("{name}_{k}[{i}] = value; return;"));
                text += &format!("fn {name}_set(i: u32, value: {element}) {{\n{write}}}\n");
            }
        }
        let mut body = format!("{}\n{}", self.shared, self.section);
        for (name, with) in choices {
            body = body.replace(name, with);
        }
        for part in PRELUDE.into_iter().chain(forms.texts()) {
            text += part;
        }
        text + &body
    }
}

/// SPIR-V for the entry point of this name, all floating-point instructions exact.
///
/// # Errors
/// What is wrong with the text, in words.
pub fn compile(text: &str, entry: &str) -> Result<Vec<u32>, String> {
    let mut module = wgsl::parse_str(text).map_err(|e| e.emit_to_string(text))?;
    module.entry_points.retain(|point| point.name == entry);
    compact::compact(&mut module, compact::KeepUnused::No);
    let capabilities = valid::Capabilities::FLOAT64 | valid::Capabilities::SHADER_INT64;
    let info = valid::Validator::new(valid::ValidationFlags::all(), capabilities)
        .validate(&module)
        .map_err(|e| e.emit_to_string(text))?;
    let unchecked = proc::BoundsCheckPolicy::Unchecked;
    let options = spv::Options {
        lang_version: (1, 3),
        flags: spv::WriterFlags::empty(),
        // The kernels check their own bounds, their loops end, and they divide by no 0.
        bounds_check_policies: proc::BoundsCheckPolicies {
            index: unchecked,
            buffer: unchecked,
            image_load: unchecked,
            binding_array: unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: false,
        emit_int_div_checks: false,
        ..spv::Options::default()
    };
    let point = spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: entry.into() };
    spv::write_vec(&module, &info, &options, Some(&point)).map(|words| exact(&words)).map_err(|e| e.to_string())
}

/// The module with `NoContraction` on every floating-point instruction, and with `!=` true for NaN, which the
/// compiler makes false.
fn exact(module: &[u32]) -> Vec<u32> {
    const HEADER: usize = 5;
    const EXT_INST: u32 = 12;
    const DECORATE: u32 = 71;
    const NO_CONTRACTION: u32 = 42;
    const ORDERED_NOT_EQUAL: u32 = 182;
    const UNORDERED_NOT_EQUAL: u32 = 183;
    // F-to-integer and back, negation, + - * /, comparisons.
    let floating =
        |op: u32| matches!(op, EXT_INST | 109..=112 | 115 | 127 | 129 | 131 | 133 | 136 | 140 | 141 | 180..=191);
    let mut module = module.to_vec();
    let mut marks = Vec::new();
    let mut place = None;
    let mut at = HEADER;
    while at < module.len() {
        let (op, length) = (module[at] & 0xffff, (module[at] >> 16) as usize);
        if op == DECORATE {
            place.get_or_insert(at);
        }
        if floating(op) {
            // The result comes after its type.
            marks.extend([3 << 16 | DECORATE, module[at + 2], NO_CONTRACTION]);
        }
        if op == ORDERED_NOT_EQUAL {
            module[at] += UNORDERED_NOT_EQUAL - ORDERED_NOT_EQUAL;
        }
        at += length.max(1);
    }
    let place = place.unwrap_or(module.len());
    [&module[..place], &marks, &module[place..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILY: &str = "fn twice(x: f32) -> f32 { return x + x; }\n\
        //! entry one: x f32, out f32 set\n\
        @compute @workgroup_size(256) fn one(@builtin(global_invocation_id) id: vec3<u32>) {\n\
        out_set(id.x, $F(x_at(id.x)));\n}\n\
        //! entry two: out u32 set\n@compute @workgroup_size(1) fn two() { out_set(0, word(0)); }\n";

    #[test]
    fn entries_are_found_with_their_buffers() {
        assert_eq!(entries(FAMILY).collect::<Vec<_>>(), ["one", "two"]);
        let slots = entry(FAMILY, "one").unwrap().slots;
        let slot = |name: &str, written| Slot { name: name.into(), element: "f32".into(), written };
        assert_eq!(slots, [slot("x", false), slot("out", true)]);
        assert!(entry(FAMILY, "on").is_none());
    }

    #[test]
    fn additions_are_marked_as_exact() {
        let text = entry(FAMILY, "one").unwrap().text(Forms::NATIVE, &[3, 1], 1 << 20, &[("$F", "twice")]);
        let module = compile(&text, "one").unwrap_or_else(|e| panic!("{e}"));
        let marks = module.windows(3).filter(|w| w[0] == (3 << 16 | 71) && w[2] == 42).count();
        assert_eq!(marks, 1, "one addition");
    }

    #[test]
    fn all_forms_compile() {
        for mul_add in [MulAdd::Native, MulAdd::Double, MulAdd::Integers] {
            for native in [true, false] {
                let forms = Forms { mul_add, native_quotient: native, native_root: native };
                let text = entry(FAMILY, "one").unwrap().text(forms, &[1, 1], 0, &[("$F", "math_digamma")]);
                compile(&text, "one").unwrap_or_else(|e| panic!("{mul_add:?}: {e}"));
            }
        }
    }
}
