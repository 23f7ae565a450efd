//! Pipelines and bind groups, made when they are first used.

use super::{Gpu, Memory};
use crate::error::Result;
use crate::wgpu::FAMILIES;
use crate::wgpu::plan::Step;
use crate::wgpu::shader::{self, Forms};
use ::wgpu::*;
use std::collections::HashMap;
use std::num::NonZeroU64;

/// Bytes of a launch's block.
pub(super) const BLOCK: u64 = 256;

/// What was made so far.
#[derive(Default)]
pub(super) struct Pipelines {
    made: HashMap<Key, Made>,
    layouts: HashMap<Vec<bool>, (BindGroupLayout, PipelineLayout)>,
    groups: HashMap<(Key, Vec<u64>), BindGroup>,
}

/// Which pipeline: the entry, what stands in it, and the bindings of each buffer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    entry: &'static str,
    choices: Vec<(&'static str, &'static str)>,
    banks: Vec<u32>,
    forms: Forms,
}

#[derive(Clone)]
struct Made {
    pipeline: ComputePipeline,
    layout: BindGroupLayout,
}

/// Bind groups that are kept.
const GROUPS: usize = 1 << 14;

impl Pipelines {
    /// The pipeline of a step and the group of its buffers, the block in `arena`.
    pub(super) fn ready(
        &mut self,
        gpu: &Gpu,
        module: &'static str,
        step: &Step,
        buffers: &[&Memory],
        arena: &Buffer,
        forms: Forms,
    ) -> Result<(ComputePipeline, BindGroup)> {
        let bank = gpu.bank();
        let banks = buffers.iter().map(|memory| memory.buffer.size().div_ceil(bank).max(1) as u32).collect();
        let key = Key { entry: step.entry, choices: step.choices.clone(), banks, forms };
        let made = match self.made.get(&key) {
            Some(made) => made.clone(),
            None => {
                let made = self.make(gpu, module, &key)?;
                self.made.insert(key.clone(), made.clone());
                made
            }
        };
        let ids = (key, buffers.iter().map(|memory| memory.id).collect::<Vec<_>>());
        if let Some(group) = self.groups.get(&ids) {
            return Ok((made.pipeline, group.clone()));
        }
        let block = BufferBinding { buffer: arena, offset: 0, size: NonZeroU64::new(BLOCK) };
        let mut entries = vec![BindGroupEntry { binding: 0, resource: BindingResource::Buffer(block) }];
        for (memory, &banks) in buffers.iter().zip(&ids.0.banks) {
            for k in 0..u64::from(banks) {
                let size = (memory.buffer.size() - k * bank).min(bank);
                let part = BufferBinding { buffer: &memory.buffer, offset: k * bank, size: NonZeroU64::new(size) };
                entries.push(BindGroupEntry { binding: entries.len() as u32, resource: BindingResource::Buffer(part) });
            }
        }
        let descriptor = BindGroupDescriptor { label: Some(step.entry), layout: &made.layout, entries: &entries };
        let group = gpu.device.create_bind_group(&descriptor);
        if self.groups.len() >= GROUPS {
            self.groups.clear();
        }
        self.groups.insert(ids, group.clone());
        Ok((made.pipeline, group))
    }

    /// Forgets the groups that hold this memory.
    pub(super) fn forget(&mut self, id: u64) {
        self.groups.retain(|(_, ids), _| !ids.contains(&id));
    }

    fn make(&mut self, gpu: &Gpu, module: &'static str, key: &Key) -> Result<Made> {
        let text = FAMILIES.iter().find(|family| family.module == module).map_or("", |family| family.text);
        let entry = shader::entry(text, key.entry).ok_or_else(|| gpu.refuse(format!("no entry {}", key.entry)))?;
        let written: Vec<bool> = (entry.slots.iter().zip(&key.banks))
            .flat_map(|(slot, &banks)| std::iter::repeat_n(slot.written, banks as usize))
            .collect();
        let most = gpu.device.limits().max_storage_buffers_per_shader_stage as usize;
        if written.len() > most {
            return Err(gpu.refuse(format!(
                "{} takes {} bindings for buffers of this size, there are {most}",
                key.entry,
                written.len()
            )));
        }
        let words = shader::compile(&entry.text(key.forms, &key.banks, gpu.bank() / 4, &key.choices), key.entry)
            .map_err(|why| gpu.refuse(format!("shader {module}: {why}")))?;
        let (layout, pipelines) =
            self.layouts.entry(written).or_insert_with_key(|written| layouts(&gpu.device, written));
        let descriptor = ShaderModuleDescriptorPassthrough {
            label: Some(key.entry),
            entry_points: vec![PassthroughShaderEntryPoint { name: key.entry.into(), workgroup_size: (1, 1, 1) }]
                .into(),
            spirv: Some(words.into()),
            ..Default::default()
        };
        // SAFETY: valid SPIR-V from a checked module; the kernels keep within their buffers, which
        // `tests/kernels` checks with words around every output.
        let shader = unsafe { gpu.device.create_shader_module_passthrough(descriptor) };
        let pipeline = gpu.device.create_compute_pipeline(&ComputePipelineDescriptor {
            label: Some(key.entry),
            layout: Some(pipelines),
            module: &shader,
            entry_point: Some(key.entry),
            compilation_options: PipelineCompilationOptions::default(),
            cache: None,
        });
        let made = Made { pipeline, layout: layout.clone() };
        gpu.sound()?;
        Ok(made)
    }
}

/// The layouts of an entry: the block, then its bindings, each written or only read.
fn layouts(device: &Device, written: &[bool]) -> (BindGroupLayout, PipelineLayout) {
    let entry = |binding: usize, ty, has_dynamic_offset, size| BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: ShaderStages::COMPUTE,
        ty: BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: NonZeroU64::new(size) },
        count: None,
    };
    let mut entries = vec![entry(0, BufferBindingType::Uniform, true, BLOCK)];
    entries.extend(
        written
            .iter()
            .enumerate()
            .map(|(i, &written)| entry(i + 1, BufferBindingType::Storage { read_only: !written }, false, 4)),
    );
    let layout = device.create_bind_group_layout(&BindGroupLayoutDescriptor { label: None, entries: &entries });
    let pipelines = device.create_pipeline_layout(&PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    (layout, pipelines)
}
