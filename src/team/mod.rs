//! What did the author ask for?
//!
//! As written ([`TeamFile`], [`ProfileFile`]) and resolved ([`Team`], [`crate::value::Profile`]) are two types. Reading goes
//! through [`Sources`], so that nothing here touches a file system.

mod code;
mod diagnostic;
mod render;
mod spec;

pub use code::Code;
pub use diagnostic::{Diagnostic, Severity, finish};
pub use render::render;
pub use spec::{
    After, AfterOn, AskSpec, Body, Coordination, InputKind, InputSpec, MemberSpec, NodeSpec, Pattern, ResultBy, Script, Team,
    Text, ToolSpecNode, What,
};
