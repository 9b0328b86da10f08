//! The SMART scope grammar, v1 and v2 (SMART App Launch 2.2 scopes-and-launch-context).

mod grammar;

pub use grammar::{Context, Letter, Letters, Scope, ScopeError, Scopes, TypePattern};
