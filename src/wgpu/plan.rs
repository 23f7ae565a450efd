//! How a call becomes dispatches of compute shaders. Pure: nothing here touches a device.
//!
//! May use: `kernel`. A family's planner looks at the params (not at the call's geometry alone, which may
//! be coarse) and says which entries of the family's shader run, on how many workgroups, with which buffers.
#![forbid(unsafe_code)]

/// Threads of a workgroup where nothing speaks for another number: as many as every adapter has.
pub const THREADS: u32 = 256;

/// Most words that a step may bring beside the params.
pub const WORDS: usize = 15;
/// Most buffers of a step, by the default limits of WebGPU.
pub const BUFFERS: usize = 8;
/// Most workgroups along an axis.
pub const GROUPS: u32 = 65_535;

/// A buffer that a step binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    /// The call's buffer of this index.
    Buffer(u8),
    /// The scratch memory that the plan's steps share.
    Scratch,
}

/// One dispatch.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its section in the family's file.
    pub entry: &'static str,
    /// What stands for each `$NAME` of the section.
    pub choices: Vec<(&'static str, &'static str)>,
    /// Workgroups, at most [`GROUPS`] along each axis.
    pub grid: [u32; 3],
    /// In the order of the entry's buffers.
    pub args: Vec<Arg>,
    /// What `word(i)` gives.
    pub words: Vec<u32>,
}

impl Step {
    /// The entry with these buffers on `groups` workgroups.
    pub fn new(entry: &'static str, args: &[Arg], groups: u32) -> Self {
        Step { entry, choices: Vec::new(), grid: [groups, 1, 1], args: args.to_vec(), words: Vec::new() }
    }

    /// With text for a `$NAME`.
    pub fn choose(mut self, name: &'static str, text: &'static str) -> Self {
        self.choices.push((name, text));
        self
    }

    /// With one more word.
    pub fn word(mut self, word: u32) -> Self {
        self.words.push(word);
        self
    }

    /// With another grid.
    pub fn grid(self, grid: [u32; 3]) -> Self {
        Step { grid, ..self }
    }
}

/// What a call becomes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In the order in which they run.
    pub steps: Vec<Step>,
    /// Words of scratch memory that the steps share; its content is undefined at first.
    pub scratch: usize,
}

impl Plan {
    /// Nothing to do: the output is empty.
    pub fn nothing() -> Self {
        Plan::default()
    }

    /// A single dispatch.
    pub fn one(step: Step) -> Self {
        Plan::default().then(step)
    }

    /// Followed by another dispatch.
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// With scratch memory.
    pub fn scratch(self, words: usize) -> Self {
        Plan { scratch: words, ..self }
    }
}

/// A call's params to dispatches.
pub type Planner = fn(params: &[u8]) -> Plan;

/// The call's first `n` buffers.
pub fn buffers(n: u8) -> Vec<Arg> {
    (0..n).map(Arg::Buffer).collect()
}

/// Workgroups of [`THREADS`] threads that sweep over `n` items, each thread taking at least one.
pub fn groups(n: u64) -> u32 {
    // Enough for every adapter; more would only begin and end.
    const MOST: u64 = 4096;
    n.div_ceil(THREADS.into()).min(MOST) as u32
}

/// Workgroups for `n` teams of one workgroup each.
pub fn teams(n: u64) -> u32 {
    n.min(GROUPS.into()) as u32
}

/// One entry that sweeps over `n` items with the first `buffers` buffers; nothing for `n = 0`.
pub fn sweep(entry: &'static str, buffers: u8, n: u64) -> Plan {
    if n == 0 { Plan::nothing() } else { Plan::one(Step::new(entry, &self::buffers(buffers), groups(n))) }
}

/// A launch of teams, one for each of `rows > 0` rows of `n` values, as `shaders/lanes.wgsl` has them.
pub fn over_rows(entry: &'static str, args: &[Arg], rows: u32, n: u32) -> Step {
    let (width, of_group) = if n <= 32 { ("32u", 8) } else { ("256u", 1) };
    Step::new(entry, args, teams(u64::from(rows).div_ceil(of_group))).choose("$WIDTH", width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_has_a_thread_per_item_up_to_a_limit() {
        assert_eq!([0, 1, 256, 257, 1 << 40].map(groups), [0, 1, 1, 2, 4096]);
        assert!(sweep("f", 2, 0).steps.is_empty());
    }
}
