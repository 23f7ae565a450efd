//! How a call becomes launches of device functions. Pure: nothing here touches a device.
//!
//! May use: `kernel`. A family's planner looks at the params (not at the call's geometry alone, which
//! may be coarse) and at the chip, and says which functions run with which grid and arguments.
#![forbid(unsafe_code)]

/// Threads of a block where nothing speaks for another number.
pub const THREADS: u32 = 256;

/// Words that a function may count in; see [`Arg::Zeros`].
pub const ZEROS: usize = 4096;

/// One argument of a device function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    /// The call's params, by value.
    Params,
    /// The address of the call's buffer of this index.
    Buffer(u8),
    /// The address of this word of the scratch memory.
    Scratch(u32),
    /// The address of the first of [`ZEROS`] words that are 0 before every launch; a function leaves
    /// them so.
    Zeros,
    /// A number.
    Word(u32),
}

/// A list of at most `N` values that needs no heap.
#[derive(Clone, Copy)]
pub struct List<T, const N: usize> {
    items: [Option<T>; N],
    len: usize,
}

impl<T: Copy, const N: usize> List<T, N> {
    /// An empty list.
    pub const fn new() -> Self {
        List { items: [None; N], len: 0 }
    }

    /// The same list with one more.
    ///
    /// # Panics
    /// If it is full, which only a wrong planner can cause.
    pub fn with(mut self, item: T) -> Self {
        self.items[self.len] = Some(item);
        self.len += 1;
        self
    }

    /// How many it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// In the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.items[..self.len].iter().flatten()
    }
}

impl<T: Copy, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy + PartialEq, const N: usize> PartialEq for List<T, N> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T: Copy + std::fmt::Debug, const N: usize> std::fmt::Debug for List<T, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Arguments in the order of the function's parameters.
pub type ArgList = List<Arg, 20>;
/// Launches in order.
pub type StepList = List<Step, 8>;

/// One launch of a device function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Its name in the kernel file.
    pub function: &'static str,
    /// The kernel file, if it is another one than the family's.
    pub module: Option<&'static str>,
    /// Blocks: x up to 2^31 - 1, y and z up to 65535.
    pub grid: [u32; 3],
    /// Threads of a block, at most 1024.
    pub block: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub shared: u32,
    /// In the order of its parameters.
    pub args: ArgList,
}

impl Step {
    /// The function with the params and the first `buffers` buffers as arguments, on `blocks` blocks of
    /// [`THREADS`] threads.
    pub fn new(function: &'static str, buffers: u8, blocks: u32) -> Self {
        let args = (0..buffers).fold(ArgList::new().with(Arg::Params), |args, i| args.with(Arg::Buffer(i)));
        Step { function, module: None, grid: [blocks, 1, 1], block: [THREADS, 1, 1], shared: 0, args }
    }

    /// With another grid and other blocks.
    pub fn shaped(self, grid: [u32; 3], block: [u32; 3]) -> Self {
        Step { grid, block, ..self }
    }

    /// A function of another kernel file.
    pub fn of(self, module: &'static str) -> Self {
        Step { module: Some(module), ..self }
    }

    /// With dynamic shared memory.
    pub fn shared(self, bytes: u32) -> Self {
        Step { shared: bytes, ..self }
    }

    /// With one more argument at the end.
    pub fn arg(self, arg: Arg) -> Self {
        Step { args: self.args.with(arg), ..self }
    }
}

/// What a call becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Plan {
    /// In the order in which they run.
    pub steps: StepList,
    /// Words of scratch memory that the steps share; its content is undefined at first.
    pub scratch: usize,
}

impl Plan {
    /// Nothing to do: the output is empty.
    pub fn nothing() -> Self {
        Plan::default()
    }

    /// A single launch.
    pub fn one(step: Step) -> Self {
        Plan::default().then(step)
    }

    /// Followed by another launch.
    pub fn then(self, step: Step) -> Self {
        Plan { steps: self.steps.with(step), ..self }
    }

    /// With scratch memory.
    pub fn scratch(self, words: usize) -> Self {
        Plan { scratch: words, ..self }
    }
}

/// What a planner knows of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chip {
    /// How many it has.
    pub multiprocessors: u32,
    /// Most bytes of shared memory of a block.
    pub shared_per_block: u32,
    /// Compute capability, as (9, 0).
    pub capability: (u32, u32),
}

impl Chip {
    /// Blocks of [`THREADS`] threads that sweep over `n` items, each thread taking at least one: enough
    /// for all items, at most what keeps the chip full (eight blocks per multiprocessor, 2048 threads).
    /// 0 for `n = 0`.
    pub fn sweep(&self, n: u64) -> u32 {
        n.div_ceil(THREADS.into()).min(u64::from(self.multiprocessors) * 8) as u32
    }
}

/// A call's params and geometry, and the chip, to launches.
pub type Planner = fn(params: &[u8], geometry: [u32; 3], chip: &Chip) -> Plan;

/// One function that sweeps over `n` items with the first `buffers` buffers; nothing for `n = 0`.
pub fn sweep(function: &'static str, buffers: u8, n: u64, chip: &Chip) -> Plan {
    if n == 0 { Plan::nothing() } else { Plan::one(Step::new(function, buffers, chip.sweep(n))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHIP: Chip = Chip { multiprocessors: 10, shared_per_block: 99 << 10, capability: (8, 6) };

    #[test]
    fn a_sweep_has_a_thread_per_item_until_the_chip_is_full() {
        assert_eq!([0, 1, 256, 257, 1 << 40].map(|n| CHIP.sweep(n)), [0, 1, 1, 2, 80]);
        assert!(sweep("f", 2, 0, &CHIP).steps.is_empty());
    }

    #[test]
    fn lists_keep_their_order() {
        let step = Step::new("f", 2, 3).arg(Arg::Scratch(5)).arg(Arg::Word(7));
        let args: Vec<Arg> = step.args.iter().copied().collect();
        assert_eq!(args, [Arg::Params, Arg::Buffer(0), Arg::Buffer(1), Arg::Scratch(5), Arg::Word(7)]);
    }
}
