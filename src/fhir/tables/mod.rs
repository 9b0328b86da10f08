//! The specification's own tables: whose a resource is, and what a search parameter looks at.

pub(crate) mod names;
