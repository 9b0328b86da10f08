//! `smartgate explain`.
use std::path::Path;
use super::Failure;
#[derive(clap::Args, Debug)]
pub(super) struct Asked {}
pub(super) fn explain(_path: &Path, _asked: &Asked) -> Result<(), Failure> { todo!() }
