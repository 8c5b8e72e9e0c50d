//! Why was there no answer? [`MetricsError`].

use std::sync::Arc;

use crate::value::{Failure, FailureKind};

/// Why a question about metrics could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// An argument that cannot be used.
    #[error("argument `{name}`: {problem}")]
    Argument {
        /// Which.
        name: Arc<str>,
        /// What is wrong with it, and what would be right.
        problem: Arc<str>,
    },
    /// The name of a time zone that is none.
    #[error("argument `zone`: `{0}` is no time zone; use `UTC`, an offset such as `+08:00` or a name such as `Europe/Berlin`")]
    Zone(Arc<str>),
    /// A file that is no table of metrics.
    #[error("{file}{}: {problem}", line_suffix(*.line))]
    File {
        /// The file, as the caller would name it.
        file: Arc<str>,
        /// Line from 1; 0 when it is the file as a whole.
        line: u64,
        /// What is wrong, and what would help.
        problem: Arc<str>,
    },
    /// A file that could not be read.
    #[error("read {file}: {cause}")]
    Io {
        /// The file, as the caller would name it.
        file: Arc<str>,
        /// What the system said.
        cause: Arc<str>,
    },
    /// Nothing to work on.
    #[error("{0}")]
    Nothing(Arc<str>),
    /// A path out of reach, a deadline, a cancelled call.
    #[error("{}", .0.message)]
    Failed(Failure),
}

impl From<Failure> for MetricsError {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<MetricsError> for Failure {
    fn from(error: MetricsError) -> Self {
        match error {
            MetricsError::Failed(failure) => failure,
            MetricsError::Argument { .. }
            | MetricsError::Zone(_)
            | MetricsError::File { .. }
            | MetricsError::Io { .. }
            | MetricsError::Nothing(_) => Self::new(FailureKind::Tool, error.to_string()),
        }
    }
}

impl MetricsError {
    /// An argument that cannot be used.
    pub fn argument(name: &str, problem: impl AsRef<str>) -> Self {
        Self::Argument { name: name.into(), problem: problem.as_ref().into() }
    }

    /// A file that is no table of metrics.
    pub fn file(file: &str, line: u64, problem: impl AsRef<str>) -> Self {
        Self::File { file: file.into(), line, problem: problem.as_ref().into() }
    }

    /// A file that could not be read.
    pub fn io(file: &str, cause: &std::io::Error) -> Self {
        Self::Io { file: file.into(), cause: cause.to_string().into() }
    }
}

fn line_suffix(line: u64) -> String {
    if line == 0 { String::new() } else { format!(":{line}") }
}
