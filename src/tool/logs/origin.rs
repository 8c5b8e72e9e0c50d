//! Who wrote a file? [`Origin`]: the service that its name or its folder tells.

use crate::tool::strip_pod_hash;

/// Endings of log files.
const ENDINGS: [&str; 10] = [".gz", ".log", ".json", ".jsonl", ".ndjson", ".txt", ".out", ".err", ".log_", ".old"];
/// Names of files and folders that say nothing of who wrote them.
const GENERIC: [&str; 24] = [
    "log",
    "logs",
    "app",
    "application",
    "all",
    "combined",
    "output",
    "out",
    "stdout",
    "stderr",
    "console",
    "messages",
    "syslog",
    "system",
    "error",
    "errors",
    "access",
    "main",
    "current",
    "events",
    "server",
    "json",
    "data",
    "everything",
];

/// What the records of a file have in common.
#[derive(Debug)]
pub(super) struct Origin {
    /// The service that the path tells.
    pub service: String,
    /// Whether the path tells none for sure, so that the message may.
    pub mixed: bool,
}

impl Origin {
    /// Of the parts of a path, the file's name last.
    pub fn of(parts: &[&str]) -> Self {
        let file = stem(parts.last().copied().unwrap_or_default());
        if !is_generic(&file) {
            return Self { service: file, mixed: false };
        }
        let folders = parts.iter().rev().skip(1).map(|part| workload(part));
        let service = folders.into_iter().find(|folder| !is_generic(folder)).unwrap_or(file);
        Self { service, mixed: true }
    }

    /// `host program[pid]: message` of a system log, where `host` is the word before: the program and the message.
    pub fn program<'a>(&self, host: &str, after: &'a str) -> Option<(&'a str, &'a str)> {
        if !self.mixed || host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')) {
            return None;
        }
        let (tag, message) = after.split_once(": ")?;
        let (name, pid) = tag.strip_suffix(']')?.split_once('[')?;
        let fits = !name.is_empty() && !name.contains(char::is_whitespace) && pid.bytes().all(|b| b.is_ascii_digit());
        fits.then_some((name, message))
    }
}

/// `ts-travel-service-64469b5b48-25zj6.log.1.gz` as `ts-travel-service`.
fn stem(file: &str) -> String {
    let mut name = file;
    loop {
        let lower = name.to_ascii_lowercase();
        let shorter = ENDINGS.iter().find(|ending| lower.ends_with(**ending)).map(|ending| &name[..name.len() - ending.len()]);
        let Some(shorter) = shorter.or_else(|| without_rotation(name)) else { break };
        name = shorter;
    }
    workload(name)
}

/// Without `.1`, `-20230129` or `.2023-01-29` at its end.
fn without_rotation(name: &str) -> Option<&str> {
    let at = name.rfind(|c: char| !(c.is_ascii_digit() || c == '-'))?;
    let (head, tail) = (&name[..=at], &name[at + 1..]);
    let digits = tail.bytes().filter(u8::is_ascii_digit).count();
    match head.strip_suffix('.') {
        Some(head) if digits > 0 => Some(head),
        Some(_) => None,
        None => (digits == 8 && tail.starts_with('-')).then_some(head),
    }
}

/// The workload of a pod's name, also where a container runtime wraps it: `pod_namespace_container-0123…` or `namespace_pod_uid`.
fn workload(name: &str) -> String {
    let parts: Vec<&str> = name.split('_').collect();
    let pod = match parts.as_slice() {
        [pod, _, container] if container.len() > 64 => pod,
        [_, pod, uid] if uid.len() == 36 => pod,
        _ => name,
    };
    strip_pod_hash(pod).to_owned()
}

fn is_generic(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_'))
        || GENERIC.iter().any(|g| g.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_the_service() {
        for (path, service, mixed) in [
            ("logs/ts-travel-service-64469b5b48-25zj6.log", "ts-travel-service", false),
            ("ts-order-other-service.log.1.gz", "ts-order-other-service", false),
            ("payment.log-20230129.gz", "payment", false),
            ("payment.2023-01-29.log", "payment", false),
            ("shop_pay-64469b5b48-25zj6_12345678-1234-1234-1234-123456789012/web/0.log", "web", true),
            ("payment/app.log", "payment", true),
            ("logs/all.jsonl", "all", true),
            ("postgres-0.log", "postgres-0", false),
            ("", "", true),
        ] {
            let origin = Origin::of(&path.split('/').collect::<Vec<_>>());
            assert_eq!((origin.service.as_str(), origin.mixed), (service, mixed), "{path}");
        }
    }
}
