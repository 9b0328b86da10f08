//! The SMART scope grammar, v1 and v2, with granular constraints (SMART App Launch 2.2 scopes-and-launch-context).

mod constraint;
mod grammar;

pub use constraint::{Condition, Constraint, Filter, System, Test, Wanted};
pub use grammar::{Context, Letter, Letters, Scope, ScopeError, Scopes, TypePattern, short_form};
