//! The tensor itself: storage, shape, strides and its place on the tape.

use super::op::Op;
use super::shape;
use crate::device::{Device, Storage};
use crate::error::{Error, Result};
use crate::kernel::Layout;
use crate::kernel::gather::{COPY, CopyParams};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// binary32
    F32,
    /// unsigned 32-bit integers: indices, classes
    U32,
}

impl Dtype {
    /// `"f32"` or `"u32"`.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "f32",
            Dtype::U32 => "u32",
        }
    }
}

/// An n-dimensional array on a device. Cloning shares it; a view shares the storage.
#[derive(Clone)]
pub struct Tensor(Arc<Inner>);

struct Inner {
    /// Grows with every tensor: inputs of an op have smaller ids than its result.
    id: u64,
    storage: Arc<Storage>,
    shape: Vec<usize>,
    strides: Vec<isize>,
    offset: usize,
    dtype: Dtype,
    variable: bool,
    /// Made by [`Tensor::seed`].
    seed: bool,
    node: Option<Node>,
}

/// How a tensor was made.
pub(super) struct Node {
    pub op: Op,
    pub inputs: Vec<Tensor>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

impl Drop for Inner {
    /// Long chains are taken apart in a loop: the recursion of nested drops would overflow the stack.
    fn drop(&mut self) {
        let Some(node) = self.node.take() else { return };
        let mut pending = node.inputs;
        while let Some(tensor) = pending.pop() {
            if let Some(mut inner) = Arc::into_inner(tensor.0)
                && let Some(node) = inner.node.take()
            {
                pending.extend(node.inputs);
            }
        }
    }
}

impl Tensor {
    // ---- making ----

    /// From row-major values.
    ///
    /// # Errors
    /// `Error::Shape` if the number of values is not that of the shape.
    pub fn from_slice(values: &[f32], shape: &[usize], device: &Device) -> Result<Tensor> {
        Self::from_words(bytemuck::cast_slice(values), shape, Dtype::F32, device)
    }

    /// From row-major unsigned integers.
    pub fn from_u32(values: &[u32], shape: &[usize], device: &Device) -> Result<Tensor> {
        Self::from_words(values, shape, Dtype::U32, device)
    }

    fn from_words(words: &[u32], shape: &[usize], dtype: Dtype, device: &Device) -> Result<Tensor> {
        shape::check("from_slice", shape)?;
        if words.len() != shape::numel(shape) {
            return Err(Error::Shape {
                op: "from_slice",
                expected: format!("{} values for shape {shape:?}", shape::numel(shape)),
                found: format!("{} values", words.len()),
            });
        }
        Ok(Self::leaf(device.upload(words)?, shape, dtype))
    }

    /// A number, shape `[]`.
    pub fn scalar(value: f32, device: &Device) -> Result<Tensor> {
        Self::full(value, &[], device)
    }

    /// Every element `value`.
    pub fn full(value: f32, shape: &[usize], device: &Device) -> Result<Tensor> {
        use crate::kernel::elementwise::{FILL, FillParams};
        let out = Self::uninit("full", shape, Dtype::F32, device)?;
        let n = out.numel() as u32;
        device.launch(&FILL, &FillParams { bits: value.to_bits(), n }, &[out.storage()], [n, 1, 1])?;
        Ok(out)
    }

    /// Every element 0.
    pub fn zeros(shape: &[usize], device: &Device) -> Result<Tensor> {
        Self::full(0.0, shape, device)
    }

    /// Every element 1.
    pub fn ones(shape: &[usize], device: &Device) -> Result<Tensor> {
        Self::full(1.0, shape, device)
    }

    /// Ones that a walk over the tape begins with. Nobody else holds them, so that they stay ones.
    pub(super) fn seed(shape: &[usize], device: &Device) -> Result<Tensor> {
        let mut seed = Self::ones(shape, device)?;
        if let Some(inner) = Arc::get_mut(&mut seed.0) {
            inner.seed = true;
        }
        Ok(seed)
    }

    /// Whether this is known to hold ones: a factor that changes nothing.
    pub(super) fn is_seed(&self) -> bool {
        self.0.seed
    }

    /// Undefined content, to be written by a kernel.
    pub(crate) fn uninit(op: &'static str, shape: &[usize], dtype: Dtype, device: &Device) -> Result<Tensor> {
        shape::check(op, shape)?;
        Ok(Self::leaf(device.alloc(shape::numel(shape))?, shape, dtype))
    }

    fn leaf(storage: Storage, shape: &[usize], dtype: Dtype) -> Tensor {
        Self::make(Arc::new(storage), shape.to_vec(), shape::row_major(shape), 0, dtype, false, None)
    }

    fn make(
        storage: Arc<Storage>,
        shape: Vec<usize>,
        strides: Vec<isize>,
        offset: usize,
        dtype: Dtype,
        variable: bool,
        node: Option<Node>,
    ) -> Tensor {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Tensor(Arc::new(Inner { id, storage, shape, strides, offset, dtype, variable, seed: false, node }))
    }

    /// The same storage seen with another shape, strides and offset; not on the tape.
    pub(crate) fn view(&self, shape: Vec<usize>, strides: Vec<isize>, offset: usize) -> Tensor {
        Self::make(self.0.storage.clone(), shape, strides, offset, self.0.dtype, false, None)
    }

    /// The same values with a node, so that gradients flow to `inputs`.
    pub(super) fn with_node(self, op: Op, inputs: Vec<Tensor>) -> Tensor {
        let i = &self.0;
        let node = Some(Node { op, inputs });
        Self::make(i.storage.clone(), i.shape.clone(), i.strides.clone(), i.offset, i.dtype, false, node)
    }

    /// The same values as a leaf that gradients can be taken with respect to.
    pub fn variable(&self) -> Tensor {
        let i = &self.0;
        Self::make(i.storage.clone(), i.shape.clone(), i.strides.clone(), i.offset, i.dtype, true, None)
    }

    /// The same values, off the tape.
    pub fn detach(&self) -> Tensor {
        self.view(self.0.shape.clone(), self.0.strides.clone(), self.0.offset)
    }

    // ---- asking ----

    /// Size along each axis; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.0.shape
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.0.shape.len()
    }

    /// Size along an axis.
    ///
    /// # Panics
    /// If there is no such axis.
    pub fn size(&self, axis: usize) -> usize {
        self.0.shape[axis]
    }

    /// Number of elements.
    pub fn numel(&self) -> usize {
        shape::numel(&self.0.shape)
    }

    /// Distance in elements between neighbours along each axis.
    pub fn strides(&self) -> &[isize] {
        &self.0.strides
    }

    /// Index of the first element in the storage.
    pub fn offset(&self) -> usize {
        self.0.offset
    }

    /// Element type.
    pub fn dtype(&self) -> Dtype {
        self.0.dtype
    }

    /// Where it lives.
    pub fn device(&self) -> &Device {
        self.0.storage.device()
    }

    /// Whether elements follow each other in row-major order.
    pub fn is_contiguous(&self) -> bool {
        shape::is_contiguous(&self.0.shape, &self.0.strides)
    }

    /// Whether gradients flow through it.
    pub fn tracked(&self) -> bool {
        self.0.variable || self.0.node.is_some()
    }

    /// The row of the op table that made it and what went in, if it is on the tape.
    pub fn made_by(&self) -> Option<(&Op, &[Tensor])> {
        self.node().map(|node| (&node.op, node.inputs.as_slice()))
    }

    pub(super) fn id(&self) -> u64 {
        self.0.id
    }

    pub(super) fn node(&self) -> Option<&Node> {
        self.0.node.as_ref()
    }

    /// The memory behind it, for launches.
    pub(crate) fn storage(&self) -> &Storage {
        &self.0.storage
    }

    /// The view as kernels take it.
    pub(crate) fn layout(&self) -> Layout {
        Layout::new(&self.0.shape, &self.0.strides, self.0.offset)
    }

    /// The view stretched to a shape it broadcasts to.
    pub(crate) fn layout_as(&self, to: &[usize]) -> Layout {
        Layout::new(to, &shape::expand_strides(&self.0.shape, &self.0.strides, to), self.0.offset)
    }

    // ---- reading and overwriting ----

    /// The values in row-major order. Waits for the device.
    ///
    /// # Errors
    /// `Error::Dtype` if the elements are not f32.
    pub fn to_vec(&self) -> Result<Vec<f32>> {
        self.expect("to_vec", Dtype::F32)?;
        Ok(bytemuck::allocation::cast_vec(self.to_words()?))
    }

    /// The unsigned integers in row-major order. Waits for the device.
    pub fn to_u32(&self) -> Result<Vec<u32>> {
        self.expect("to_u32", Dtype::U32)?;
        self.to_words()
    }

    fn to_words(&self) -> Result<Vec<u32>> {
        let flat = self.contiguous()?;
        let words = self.device().download(flat.storage(), flat.offset() + flat.numel())?;
        Ok(if flat.offset() == 0 { words } else { words[flat.offset()..].to_vec() })
    }

    /// The only value. Waits for the device.
    ///
    /// # Errors
    /// `Error::Shape` if there is not exactly one.
    pub fn item(&self) -> Result<f32> {
        match self.to_vec()?.as_slice() {
            [value] => Ok(*value),
            values => Err(Error::Shape {
                op: "item",
                expected: "one element".into(),
                found: format!("{} elements", values.len()),
            }),
        }
    }

    /// The values in memory of their own, row-major, off the tape.
    pub fn copy(&self) -> Result<Tensor> {
        super::op::copy_of(self)
    }

    /// Overwrites the values in place; every view sees it.
    ///
    /// # Errors
    /// `Error::Shape` unless `self` is a whole contiguous tensor of that many values.
    pub fn overwrite(&self, values: &[f32]) -> Result<()> {
        self.expect("overwrite", Dtype::F32)?;
        if !self.is_contiguous() || self.0.offset != 0 || values.len() != self.numel() {
            return Err(Error::Shape {
                op: "overwrite",
                expected: format!("{} values for a whole contiguous tensor", self.numel()),
                found: format!("{} values", values.len()),
            });
        }
        self.device().write(self.storage(), bytemuck::cast_slice(values))
    }

    /// Overwrites the values in place by those of a tensor of this shape, on the device; every view sees it.
    ///
    /// # Errors
    /// `Error::Shape`, `Error::Dtype` for another shape or element type.
    pub(crate) fn assign(&self, values: &Tensor) -> Result<()> {
        values.expect("assign", self.0.dtype)?;
        values.expect_shape("assign", self.shape())?;
        let params = CopyParams { src: values.layout(), dst: self.layout() };
        self.device().launch(&COPY, &params, &[values.storage(), self.storage()], [self.numel() as u32, 1, 1])
    }

    /// Fails unless the element type is `dtype`.
    pub(crate) fn expect(&self, op: &'static str, dtype: Dtype) -> Result<()> {
        if self.0.dtype == dtype {
            return Ok(());
        }
        Err(Error::Dtype { op, expected: dtype.name(), found: self.0.dtype.name() })
    }

    /// Whether both are the very same tensor.
    pub fn is(&self, other: &Tensor) -> bool {
        self.0.id == other.0.id
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tensor({:?} {} on {}", self.shape(), self.dtype().name(), self.device().name())?;
        match self.node() {
            Some(node) => write!(f, ", by {})", node.op.name()),
            None => write!(f, ")"),
        }
    }
}
