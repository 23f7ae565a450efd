//! Every way in which the CUDA planners could launch a call, not only the one that they take for a chip:
//! all give the reference's bits. On the host, by the shim.

use crate::harness::{bits, ordinary};
use crate::shim;
use bytemuck::Pod;
use cytograd::backend::{Backend, Buffer, Call};
use cytograd::cuda::plan::{Chip, Plan};
use cytograd::kernel::Kernel;
use cytograd::reference::Reference;

pub const CHIP: Chip = Chip { multiprocessors: 132, shared_per_block: 227 << 10, capability: (9, 0) };

/// Words past the end of the output.
const GUARD: usize = 16;

/// Compares each plan's floats with the reference's; the kernel has one output, of `n` words.
pub fn check<P: Pod>(
    what: &str,
    kernel: &'static Kernel,
    params: &P,
    inputs: &[&[u32]],
    n: usize,
    plans: impl Iterator<Item = (String, Plan)>,
) {
    let Ok(backends) = shim::backends() else { return };
    let (_, cuda) = &backends[0];
    let reference = Reference::new();
    let run = |backend: &dyn Backend, launch: &dyn Fn(&Call)| {
        let upload = |words: &[u32]| {
            let buffer = backend.alloc(words.len() * 4).expect("alloc");
            backend.upload(&buffer, bytemuck::cast_slice(words)).expect("upload");
            buffer
        };
        let mut buffers: Vec<Buffer> = inputs.iter().map(|words| upload(words)).collect();
        buffers.push(upload(bits(&ordinary(n + GUARD, 77))));
        let buffers: Vec<&Buffer> = buffers.iter().collect();
        launch(&Call { kernel, params: bytemuck::bytes_of(params), buffers: &buffers, geometry: [1; 3] });
        let mut found = vec![0u32; n + GUARD];
        backend.download(buffers[inputs.len()], bytemuck::cast_slice_mut(&mut found)).expect("download");
        found
    };
    let expected = run(&reference, &|call| reference.launch(call).expect("launch"));
    for (way, plan) in plans {
        // SAFETY: the family's own plans for this call.
        let found = run(cuda, &|call| unsafe { cuda.launch_as(call, &plan) }.expect("launch"));
        let nan = |w: u32| w & 0x7fff_ffff > 0x7f80_0000;
        let differs = found.iter().zip(&expected).position(|(&f, &e)| f != e && !(nan(f) && nan(e)));
        assert_eq!(differs, None, "{}, {what}, {way}: the first other word", kernel.name);
    }
}
