//! Who decides? A [`Judge`] evaluates expressions and rules; the core asks, the `rule` module answers.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Place, Role, Subtask, TeamIx, Value};

/// What a name in an expression or text template stands for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Ref {
    /// A node: `up` templates outwards (0 is the expression's own), `local` its index there.
    /// It reads as `#{ output, status, error }`.
    Node {
        /// The name as the expression writes it.
        name: Arc<str>,
        /// How many templates outwards.
        up: u32,
        /// The node's index in that template's graph.
        local: u32,
    },
    /// A binding of an enclosing scope: `item` (or its `as` name), `round`, `input`, `error`, `status`.
    Binding {
        /// The name as the expression writes it.
        name: Arc<str>,
        /// How many templates outwards.
        up: u32,
    },
    /// `output`, `status`, `error`: of the node at which an edge condition starts, or that an `until` closes.
    Source {
        /// The name as the expression writes it.
        name: Arc<str>,
    },
}

impl Ref {
    /// The name as the expression writes it.
    pub fn name(&self) -> &Arc<str> {
        match self {
            Self::Node { name, .. } | Self::Binding { name, .. } | Self::Source { name } => name,
        }
    }
}

/// A Rhai expression of a team file, with what its names stand for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expr {
    /// The text as written.
    pub source: Arc<str>,
    /// Where it stands.
    pub place: Place,
    /// Its free names, sorted by name; filled by the compiler.
    pub refs: Vec<Ref>,
}

/// The decisions that scripts can take, one function name each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    /// Which sub-tasks are there and who does them?
    Route,
    /// Who is next?
    Handoff,
    /// What becomes of positions that differ?
    Settle,
    /// Whom does an escalation reach?
    Escalate,
    /// May this tool be called?
    Permit,
    /// What became of an irreversible call in doubt?
    Reconcile,
    /// What is the result of the parts?
    Merge,
    /// A function of the team's own, called by a `rule` node; its verdict is its value.
    Own(Arc<str>),
}

impl RuleKind {
    /// The function's name in a script.
    pub fn function(&self) -> &str {
        match self {
            Self::Route => "route",
            Self::Handoff => "handoff",
            Self::Settle => "settle",
            Self::Escalate => "escalate",
            Self::Permit => "permit",
            Self::Reconcile => "reconcile",
            Self::Merge => "merge",
            Self::Own(name) => name,
        }
    }

    /// The kind that a function name stands for.
    pub fn of(function: &str) -> Self {
        match function {
            "route" => Self::Route,
            "handoff" => Self::Handoff,
            "settle" => Self::Settle,
            "escalate" => Self::Escalate,
            "permit" => Self::Permit,
            "reconcile" => Self::Reconcile,
            "merge" => Self::Merge,
            own => Self::Own(Arc::from(own)),
        }
    }
}

/// What a `settle` rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettleVerdict {
    /// The value stands.
    Accept,
    /// The positions are voted upon, by the protocol of the team.
    Vote,
    /// One more round, in which everybody reads the others' positions.
    Debate,
    /// The coordinator decides.
    Coordinator,
    /// A person decides.
    Escalate,
}

/// Whom an escalation reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EscalateTo {
    /// The team's coordinator.
    Coordinator,
    /// A person: a durable question.
    Person,
    /// Nobody: it is recorded only.
    None,
}

/// What a rule said, checked for its shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Of `route`.
    Route(Vec<Subtask>),
    /// Of `handoff`: who is next and with what [`super::Brief`], null for none; `None`: whom the agent itself asked for, else the
    /// next by priority.
    Handoff(Option<(Role, Value)>),
    /// Of `settle`.
    Settle {
        /// What is to be done.
        verdict: SettleVerdict,
        /// The value that stands, for `accept`.
        value: Value,
        /// Why, for the record.
        reason: Arc<str>,
    },
    /// Of `escalate`.
    Escalate {
        /// Whom.
        to: EscalateTo,
        /// The question for a person.
        question: Arc<str>,
        /// The answers to choose from; empty for free text.
        options: Vec<Arc<str>>,
    },
    /// Of `permit`: `Some(true)` allow, `Some(false)` deny, `None` ask; a null [`Verdict::Value`] where it leaves the call to the policy
    /// of the team.
    Permit(Option<bool>),
    /// Of `reconcile`: `Some(Some(v))` happened with result `v`, `Some(None)` did not happen, `None` unknown.
    Reconcile(#[serde(with = "super::nested")] Option<Option<Value>>),
    /// Of `merge` and of a team's own functions.
    Value(Value),
}

/// Why an expression or rule gave no verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({place})")]
pub struct RuleError {
    /// What happened, a lowercase fragment.
    pub message: String,
    /// Where, in the author's file.
    pub place: Place,
}

/// Evaluates expressions and rules: pure, bounded, and the same every time.
pub trait Judge: Send + Sync {
    /// The value of `expr`, its names bound by `names`.
    ///
    /// # Errors
    /// The expression failed, ran into a limit or has no [`Value`] as its result.
    fn eval(&self, expr: &Expr, names: &[(&str, Value)]) -> Result<Value, RuleError>;

    /// The verdict of the rule `kind` of team `team` on `facts`; `None` when that team has no such function.
    ///
    /// # Errors
    /// The function failed, ran into a limit or gave a verdict of the wrong shape.
    fn judge(&self, team: TeamIx, kind: &RuleKind, facts: &Value) -> Result<Option<Verdict>, RuleError>;

    /// `template` rendered as text with its names bound by `names`.
    ///
    /// # Errors
    /// A name is missing, a filter failed or the fuel ran out.
    fn render(&self, template: &super::TextTemplate, names: &[(&str, Value)]) -> Result<Arc<str>, RuleError>;

    /// `template` as a value: a template that is one `{{ expression }}` keeps the type of its value, any other is text.
    ///
    /// # Errors
    /// As [`Judge::render`].
    fn fill(&self, template: &super::TextTemplate, names: &[(&str, Value)]) -> Result<Value, RuleError>;
}
