//! What kind of mistake is it? A [`Code`] has one stable name, which scripts may match.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal),+ $(,)?) => {
        /// The kind of a diagnostic.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)+
        }

        impl Code {
            /// Every code there is, in declared order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name that `check --json` gives it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

codes! {
    // Reading a file.
    /// The text is not YAML or JSON.
    Syntax = "syntax",
    /// The file is empty.
    EmptyFile = "empty-file",
    /// A limit on size, depth, nodes, aliases or number of files was exceeded.
    TooLarge = "too-large",
    /// The file could not be read.
    Unreadable = "unreadable",
    /// A key stands twice in one map.
    DuplicateKey = "duplicate-key",
    /// A key that has no meaning there.
    UnknownKey = "unknown-key",
    /// A key that must be there is not.
    MissingKey = "missing-key",
    /// A value of another type than is wanted.
    WrongType = "wrong-type",
    /// A word that is not among the known ones.
    UnknownValue = "unknown-value",
    /// A number outside of its range.
    OutOfRange = "out-of-range",
    /// A value of the right type that cannot be meant.
    InvalidValue = "invalid-value",
    /// A text that is no duration.
    BadDuration = "bad-duration",
    /// An id that does not match `[a-z][a-z0-9_]*`.
    BadId = "bad-id",
    /// Two things with one id.
    DuplicateId = "duplicate-id",

    // Following references.
    /// A file that is named and not found.
    MissingReference = "missing-reference",
    /// A role that nobody in the team has.
    UnknownRole = "unknown-role",
    /// A node that nobody declared.
    UnknownNode = "unknown-node",
    /// The coordinator's profile has another role.
    WrongCoordinator = "wrong-coordinator",
    /// A profile or team that is not active.
    Inactive = "inactive",
    /// A team that contains itself.
    RecursiveTeam = "recursive-team",
    /// A `--set` or `set` that meets nothing.
    BadOverride = "bad-override",

    // The nodes of a graph.
    /// A node without a kind, or with two.
    NodeKind = "node-kind",
    /// A loop without a bound.
    MissingBound = "missing-bound",
    /// Nodes that wait for each other in a circle.
    Cycle = "cycle",
    /// The same dependency twice.
    DuplicateEdge = "duplicate-edge",
    /// A node that never runs, or whose work nobody uses.
    Unreachable = "unreachable",
    /// An expression or template that does not compile.
    BadExpression = "bad-expression",
    /// A name in an expression or template that nothing binds.
    UnknownName = "unknown-name",
    /// Two nodes that may run in parallel write one variable and nothing says how to merge.
    WriteConflict = "write-conflict",

    // Scripts.
    /// A script that does not compile.
    BadScript = "bad-script",
    /// A rule that fails or gives a wrong verdict on its sample facts.
    BadRule = "bad-rule",
    /// A rule that no script of the team defines.
    UnknownRule = "unknown-rule",

    // Bounds and limits.
    /// The worst case does not fit into 64 bits.
    BoundOverflow = "bound-overflow",
    /// A cost limit with a model that has no price.
    Unpriced = "unpriced",
    /// Something that the format knows and this version does not run.
    NotYet = "not-yet",

    // What this machine lacks: warnings here, errors in a run that uses it.
    /// A model that the catalog does not have.
    UnresolvedModel = "unresolved-model",
    /// A tool that is not installed.
    UnresolvedTool = "unresolved-tool",
    /// An MCP server that no configuration names.
    UnresolvedMcpServer = "unresolved-mcp-server",
    /// A folder or file that is not there.
    UnresolvedPath = "unresolved-path",
    /// An API key that the environment does not hold.
    UnresolvedKey = "unresolved-key",

    // Advice.
    /// Something legal that a reviewer should look at.
    Lint = "lint",
}
