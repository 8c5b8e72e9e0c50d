//! What passes between parts?
//!
//! Plain data that every layer above shares: ids, [`Value`], time, messages, findings, requests and
//! replies, verdicts and the [`Judge`] that gives them. Nothing here does I/O, reads a clock or
//! draws a random number, and every map is ordered, so that the same facts always read the same.

mod agent;
mod brief;
mod command;
mod data;
mod delegation;
mod facts;
mod failure;
mod form;
mod id;
mod include;
mod judge;
mod money;
mod notify;
mod origin;
mod pattern;
mod present;
mod request;
mod said;
mod text;
mod time;

pub use agent::{
    KnowledgeSpec, Merge, Profile, ProfileRole, QUERY_LIMIT, SEARCH_KNOWLEDGE, Style, WriteSpec, cassette, is_offline,
};
pub use brief::{BRIEF_BYTES, BRIEF_ENTRIES, Brief};
pub use command::{CommandSpec, CommandWord, HttpSpec, MetricsSpec, TeamTools};
pub use data::{Map, Value, ValueError};
pub use delegation::{Division, Score, Subtask, Unfit, choose};
pub use facts::{
    AgentFacts, EscalateFacts, HandoffFacts, HandoffRequest, MergeFacts, OwnFacts, PartFacts, PermitFacts, ReconcileFacts,
    RouteFacts, SeatFacts, SettleFacts,
};
pub use failure::{Failure, FailureKind, Place};
pub use form::{CallQuestion, Form, FormAnswer};
pub use id::{AskId, CallIx, Epoch, FindingId, MessageId, NodeIx, Role, Seq, SessionId, TeamIx, TemplateIx, Tenant, Turn};
pub use include::{Include, includes};
pub use judge::{EscalateTo, Expr, Judge, Ref, RuleError, RuleKind, SettleVerdict, Verdict};
pub use money::Usd;
pub use notify::Notify;
pub use origin::{Origin, Origins};
pub use pattern::{fits_glob, fits_star};
pub use present::{nested, present};
pub use request::{Call, CallResult, EffectClass, Entry, Reply, Request, RequestDigest, Stop, ToolSpec, Usage};
pub use said::{
    Decision, Evidence, Exchange, Finding, FindingStatus, Message, MessageKind, Position, TrackRecord, Variable, abstains,
};
pub use text::{Template as TextTemplate, a, nearest};
pub use time::Timestamp;
