//! Tables as anndata wrote them before 0.7: one compound dataset.

use super::node::below;
use super::read::Reader;
use crate::data::Table;
use crate::error::Result;
use hdf5::Group;

pub(super) fn table(reader: &mut Reader, parent: &Group, name: &str) -> Result<Table> {
    Err(reader.place.wrong(
        &below(parent, name),
        "the table is a compound dataset, as anndata wrote it before version 0.7",
        "read it with anndata and write it again",
    ))
}
