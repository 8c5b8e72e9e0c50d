//! Synod
pub mod cli;
pub mod engine;
pub mod event;
pub mod graph;
pub mod knowledge;
pub mod model;
pub mod pattern;
pub mod plan;
pub mod report;
pub mod rule;
pub mod schedule;
pub mod state;
pub mod store;
pub mod team;
pub mod tool;
pub mod turn;
pub mod value;
