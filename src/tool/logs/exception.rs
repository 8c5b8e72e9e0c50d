//! Which exception is it? Its class, its deepest cause and its first frame, whatever the language.

use std::sync::LazyLock;

use regex::Regex;

/// Characters of a name.
const WIDTH: usize = 200;

static CLASS: LazyLock<Regex> = LazyLock::new(|| pattern(r"\b((?:[\w$]+\.)*[A-Z][\w$]*(?:Exception|Error|Throwable|Fault))\b"));
static CAUSE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^\s*Caused by:\s*([\w.$]+)"));
static JAVA_FRAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?m)^\s*at ([\w.$/<>@ -]+)\("));
static PYTHON_FRAME: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(?m)^\s*File "([^"]+)", line \d+, in (\S+)"#));
static PANIC: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?:panic:|panicked at)\s*([^\n]{1,120})"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the patterns of this file are valid: a test uses them all")
}

/// `java.lang.IllegalStateException, caused by java.net.ConnectException, at foo.Bar.baz`; `None` where there is none.
pub(super) fn name(text: &str, more: &str) -> Option<String> {
    if let Some(panic) = PANIC.captures(text) {
        return Some(crate::tool::lines::shorten(panic[0].trim(), WIDTH));
    }
    // Python says what it was at the end of the trace, others at the beginning.
    let python = PYTHON_FRAME.captures_iter(more).last();
    let class = match &python {
        Some(_) => CLASS.find_iter(more).last().map(|m| m.as_str().to_owned()),
        None => CLASS.find(text).or_else(|| CLASS.find(more)).map(|m| m.as_str().to_owned()),
    };
    let mut name = class?;
    if let Some(cause) = CAUSE.captures_iter(more).last().map(|c| c[1].to_owned()).filter(|cause| *cause != name) {
        name.push_str(", caused by ");
        name.push_str(&cause);
    }
    let frame = match python {
        Some(frame) => Some(format!("{} in {}", &frame[2], &frame[1])),
        None => JAVA_FRAME.captures(more).map(|frame| frame[1].trim().to_owned()),
    };
    if let Some(frame) = frame {
        name.push_str(", at ");
        name.push_str(&frame);
    }
    Some(crate::tool::lines::shorten(&name, WIDTH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_of_many_languages_have_a_name() {
        for (text, more, expected) in [
            ("boom java.lang.IllegalStateException: No instances", "", Some("java.lang.IllegalStateException")),
            (
                "boom",
                "java.lang.RuntimeException: x\n\tat foo.Bar.baz(Bar.java:1)\n\tat a.b(C.java:2)\nCaused by: java.net.ConnectException: refused\n",
                Some("java.lang.RuntimeException, caused by java.net.ConnectException, at foo.Bar.baz"),
            ),
            (
                "Traceback (most recent call last):",
                "  File \"/app/a.py\", line 3, in run\n    f()\n  File \"/app/b.py\", line 9, in f\nValueError: x\n",
                Some("ValueError, at f in /app/b.py"),
            ),
            ("panic: runtime error: index out of range", "main.main()\n", Some("panic: runtime error: index out of range")),
            ("thread 'main' panicked at src/main.rs:3:5", "", Some("panicked at src/main.rs:3:5")),
            ("all is well", "", None),
            ("no error", "", None),
        ] {
            assert_eq!(name(text, more).as_deref(), expected, "{text}");
        }
    }
}
