//! Named parameters of a model in one arena, so that an optimiser updates all of them in one launch.

use super::Init;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use crate::tensor::shape::{numel, row_major};

/// A parameter of the [`Params`] that its [`Builder`] becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(usize);

/// Collects parameters while layers are made.
#[derive(Default)]
pub struct Builder {
    entries: Vec<(String, Vec<usize>, Init)>,
}

impl Builder {
    /// No parameters yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a parameter; names are unique within a model.
    pub fn add(&mut self, name: impl Into<String>, shape: &[usize], init: Init) -> Id {
        let name = name.into();
        debug_assert!(self.entries.iter().all(|(other, ..)| *other != name), "two parameters named {name}");
        self.entries.push((name, shape.to_vec(), init));
        Id(self.entries.len() - 1)
    }

    /// Draws the first values (stream `INIT` of `seed`) and puts them on the device.
    pub fn build(self, seed: u64, device: &Device) -> Result<Params> {
        let mut values = Vec::new();
        for (part, (_, shape, init)) in self.entries.iter().enumerate() {
            values.extend(init.values(numel(shape), seed, part as u32));
        }
        let arena = Tensor::from_slice(&values, &[values.len()], device)?;
        let mut views = Vec::with_capacity(self.entries.len());
        let mut names = Vec::with_capacity(self.entries.len());
        let mut offset = 0;
        for (name, shape, _) in self.entries {
            let size = numel(&shape);
            views.push(arena.view(shape.clone(), row_major(&shape), offset).variable());
            names.push(name);
            offset += size;
        }
        Ok(Params { arena, views, names })
    }
}

/// Parameters on a device. Updates happen in place: every tensor handed out sees them.
pub struct Params {
    arena: Tensor,
    views: Vec<Tensor>,
    names: Vec<String>,
}

impl Params {
    /// A parameter as a variable.
    pub fn get(&self, id: Id) -> &Tensor {
        &self.views[id.0]
    }

    /// All parameters, in the order they were added.
    pub fn all(&self) -> Vec<&Tensor> {
        self.views.iter().collect()
    }

    /// Names in the same order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Number of scalars.
    pub fn numel(&self) -> usize {
        self.arena.numel()
    }

    /// All scalars as one vector, parameter after parameter.
    pub fn arena(&self) -> &Tensor {
        &self.arena
    }

    /// Gradients (one per parameter, in order) as one vector beside [`Params::arena`].
    ///
    /// # Errors
    /// `Error::Shape` if there is not one of each parameter's shape.
    pub fn flatten(&self, grads: &[Tensor]) -> Result<Tensor> {
        let fits =
            grads.len() == self.views.len() && grads.iter().zip(&self.views).all(|(g, v)| g.shape() == v.shape());
        if !fits {
            return Err(Error::Shape {
                op: "flatten",
                expected: format!("a gradient for each of {} parameters", self.views.len()),
                found: format!("{} gradients", grads.len()),
            });
        }
        let flat = grads.iter().map(|g| g.detach().reshape(&[g.numel()])).collect::<Result<Vec<_>>>()?;
        Tensor::concat(&flat.iter().collect::<Vec<_>>(), 0)
    }

    /// Holds a parameter within `[low, high]`, in place.
    ///
    /// # Errors
    /// Device errors.
    pub fn clamp(&self, id: Id, low: f32, high: f32) -> Result<()> {
        let view = self.get(id);
        let held = view.detach().clamp(low, high)?;
        view.assign(&held)
    }

    /// Name, shape and values of every parameter.
    pub fn export(&self) -> Result<Vec<(String, Vec<usize>, Vec<f32>)>> {
        let values = self.arena.to_vec()?;
        let mut offset = 0;
        Ok(self
            .names
            .iter()
            .zip(&self.views)
            .map(|(name, view)| {
                let part = values[offset..offset + view.numel()].to_vec();
                offset += view.numel();
                (name.clone(), view.shape().to_vec(), part)
            })
            .collect())
    }

    /// Overwrites all parameters by name.
    ///
    /// # Errors
    /// `Error::Argument` naming the parameter that is missing or has another shape.
    pub fn import<'a>(&self, find: impl Fn(&str) -> Option<(&'a [usize], &'a [f32])>) -> Result<()> {
        let mut values = Vec::with_capacity(self.numel());
        for (name, view) in self.names.iter().zip(&self.views) {
            match find(name) {
                Some((shape, part)) if shape == view.shape() && part.len() == view.numel() => {
                    values.extend_from_slice(part)
                }
                Some((shape, _)) => {
                    let what = format!("parameter {name} has shape {shape:?}, the model's is {:?}", view.shape());
                    return Err(Error::Argument { op: "import", what });
                }
                None => return Err(Error::Argument { op: "import", what: format!("parameter {name} is missing") }),
            }
        }
        self.arena.overwrite(&values)
    }
}
