//! Does every key of a profile and a team do something? One test for each whose effect no behaviour shows.

mod common;

#[path = "fields/delegation.rs"]
mod delegation;
#[path = "fields/knowledge.rs"]
mod knowledge;
#[path = "fields/limits.rs"]
mod limits;
#[path = "fields/nested.rs"]
mod nested;
#[path = "fields/node.rs"]
mod node;
#[path = "fields/profile.rs"]
mod profile;
#[path = "fields/reuse.rs"]
mod reuse;
#[path = "fields/team.rs"]
mod team;
#[path = "fields/tools.rs"]
mod tools;
