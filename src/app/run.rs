//! `smartgate run`.
use std::path::Path;
use super::Failure;
pub(super) fn run(_path: &Path) -> Result<(), Failure> { todo!() }
