//! Recorded launches as a CUDA graph.

use super::staging::Pinned;
use super::{Context, probe};
use crate::backend::Replay;
use crate::error::{Error, Result};
use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;
use std::sync::Arc;

/// A graph that can be launched, and the stream for it.
pub(super) struct Graph {
    context: Arc<Context>,
    stream: sys::CUstream,
    handle: sys::CUgraphExec,
    /// What its uploads read.
    _sources: Vec<Pinned>,
}

// SAFETY: handles of the driver may be used from any thread that has made the context current.
unsafe impl Send for Graph {}
// SAFETY: launching a graph changes nothing in it; the driver orders launches in the stream.
unsafe impl Sync for Graph {}

impl Graph {
    /// Ends the capture of `stream`.
    ///
    /// # Safety
    /// The context is current and the stream is being captured; it outlives the graph's last launch.
    pub(super) unsafe fn end(
        context: Arc<Context>,
        stream: sys::CUstream,
        sources: Vec<Pinned>,
    ) -> std::result::Result<Graph, DriverError> {
        // SAFETY: the caller's promise; the graph is not needed once it has been made executable.
        unsafe {
            let graph = result::stream::end_capture(stream)?;
            let mut handle = std::ptr::null_mut();
            let made = sys::cuGraphInstantiateWithFlags(&mut handle, graph, 0).result();
            result::graph::destroy(graph)?;
            made?;
            Ok(Graph { context, stream, handle, _sources: sources })
        }
    }
}

impl Replay for Graph {
    fn replay(&self) -> Result<()> {
        let launch = || {
            self.context.enter()?;
            // SAFETY: both handles are alive.
            unsafe { result::graph::launch(self.handle, self.stream) }
        };
        launch().map_err(|e| Error::Device {
            device: "cuda".into(),
            why: format!("running a recorded step failed: {}", probe::text(e)),
            fix: "run again, and if it fails again use --device cpu and report it".into(),
        })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: made once, destroyed once, when nothing runs that reads the sources.
        unsafe {
            let _ = self.context.enter();
            let _ = result::stream::synchronize(self.stream);
            let _ = result::graph::exec_destroy(self.handle);
        }
    }
}
