//! What does a metric measure? [`Class`], guessed from generic words of its name and nothing else.

/// What a metric measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// How long something takes.
    Latency,
    /// How often something fails.
    Error,
    /// How much of it works: success rates, health.
    Availability,
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// How full something of a fixed size is: pools, queues, threads.
    Saturation,
    /// How much is asked of it: requests, operations, connections.
    Traffic,
    /// Bytes and packets on a network.
    Network,
    /// Reads and writes of a disk.
    Disk,
    /// Input and output of neither sort in particular.
    Io,
    /// Money.
    Cost,
    /// Anything else.
    Other,
}

/// Whose doing a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The service's own.
    Own,
    /// What the service sees of those it calls.
    Outbound,
    /// The machine's, shared by everything on it.
    Host,
}

/// Which way is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// More is worse.
    Up,
    /// Less is worse.
    Down,
    /// Neither by itself.
    Either,
}

/// What a name says of its metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// What it measures.
    pub kind: Kind,
    /// Whose it is.
    pub scope: Scope,
    /// Which way is bad.
    pub bad: Bad,
}

impl Kind {
    /// All kinds, for an argument's schema.
    pub const ALL: [Self; 12] = [
        Self::Latency,
        Self::Error,
        Self::Availability,
        Self::Cpu,
        Self::Memory,
        Self::Saturation,
        Self::Traffic,
        Self::Network,
        Self::Disk,
        Self::Io,
        Self::Cost,
        Self::Other,
    ];

    /// The name in arguments and results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Error => "error",
            Self::Availability => "availability",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Saturation => "saturation",
            Self::Traffic => "traffic",
            Self::Network => "network",
            Self::Disk => "disk",
            Self::Io => "io",
            Self::Cost => "cost",
            Self::Other => "other",
        }
    }

    /// Which way is bad.
    pub fn bad(self) -> Bad {
        match self {
            Self::Latency | Self::Error | Self::Cpu | Self::Memory | Self::Saturation | Self::Cost => Bad::Up,
            Self::Availability => Bad::Down,
            Self::Traffic | Self::Network | Self::Disk | Self::Io | Self::Other => Bad::Either,
        }
    }
}

impl Scope {
    /// The name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Outbound => "outbound",
            Self::Host => "host",
        }
    }
}

impl Bad {
    /// The name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Either => "either",
        }
    }
}

/// How a word of a name is compared.
enum Is {
    /// It is this word.
    Word(&'static str),
    /// It contains this stem.
    Stem(&'static str),
}
use Is::{Stem, Word};

/// The words of each kind; the first kind with a word in the name is the one, so the order matters.
const WORDS: [(Kind, &[Is]); 11] = [
    (
        Kind::Cost,
        &[Stem("cost"), Stem("spend"), Stem("billing"), Word("usd"), Word("eur"), Word("price"), Word("charge"), Word("charges")],
    ),
    (
        Kind::Availability,
        &[Stem("success"), Stem("availab"), Stem("uptime"), Stem("healthy"), Word("ready"), Word("up"), Word("apdex")],
    ),
    (
        Kind::Latency,
        &[
            Stem("latenc"),
            Stem("duration"),
            Stem("responsetime"),
            Stem("elapsed"),
            Stem("delay"),
            Word("lag"),
            Word("rtt"),
            Word("ttfb"),
            Word("mrt"),
        ],
    ),
    (
        Kind::Error,
        &[
            Stem("error"),
            Stem("fault"),
            Stem("fail"),
            Stem("exception"),
            Word("5xx"),
            Word("4xx"),
            Stem("timeout"),
            Stem("restart"),
            Stem("throttl"),
            Stem("drop"),
            Stem("reject"),
            Word("denied"),
            Word("oom"),
            Word("retries"),
            Word("evicted"),
        ],
    ),
    (Kind::Cpu, &[Stem("cpu"), Stem("processor"), Stem("loadav"), Word("load1"), Word("load5"), Word("load15")]),
    (Kind::Memory, &[Stem("memory"), Word("mem"), Stem("heap"), Word("rss"), Stem("swap")]),
    (
        Kind::Saturation,
        &[
            Word("pool"),
            Stem("queue"),
            Stem("backlog"),
            Word("pending"),
            Stem("saturat"),
            Word("inflight"),
            Stem("waiting"),
            Word("threads"),
            Word("goroutines"),
        ],
    ),
    (
        Kind::Traffic,
        &[
            Stem("request"),
            Stem("workload"),
            Word("ops"),
            Word("qps"),
            Word("rps"),
            Word("tps"),
            Stem("throughput"),
            Stem("invocation"),
            Stem("connection"),
            Word("count"),
            Word("calls"),
            Word("hits"),
            Stem("transaction"),
        ],
    ),
    (Kind::Network, &[Stem("network"), Word("net"), Stem("packet"), Stem("receive"), Stem("transmit"), Word("rx"), Word("tx")]),
    (Kind::Disk, &[Stem("disk"), Word("fs"), Stem("filesystem"), Word("iops"), Stem("volume"), Stem("storage")]),
    (Kind::Io, &[Stem("syscall"), Word("io"), Stem("byte"), Word("read"), Word("write"), Word("reads"), Word("writes")]),
];

const HOST: [&str; 5] = ["node", "host", "cluster", "machine", "hypervisor"];
const OUTBOUND: [&str; 4] = ["client", "outbound", "upstream", "egress"];

/// What the name says of its metric.
pub fn class_of(metric: &str) -> Class {
    let words = words(metric);
    let has = |is: &Is| match is {
        Word(word) => words.iter().any(|w| w == word),
        Stem(stem) => words.iter().any(|w| w.contains(stem)),
    };
    // `response time` is two words that mean one thing.
    let spelled = words.windows(2).any(|pair| pair[0].contains("response") && pair[1].starts_with("time"));
    let kind = if spelled && !WORDS[..2].iter().any(|(_, list)| list.iter().any(has)) {
        Kind::Latency
    } else {
        WORDS.iter().find(|(_, list)| list.iter().any(has)).map_or(Kind::Other, |(kind, _)| *kind)
    };
    let scope = if words.iter().any(|w| HOST.contains(&w.as_str())) {
        Scope::Host
    } else if words.iter().any(|w| OUTBOUND.contains(&w.as_str())) {
        Scope::Outbound
    } else {
        Scope::Own
    };
    Class { kind, scope, bad: kind.bad() }
}

/// The unit that the name states or implies, if any.
pub fn unit_of(metric: &str) -> Option<&'static str> {
    let tail = metric.trim().strip_suffix(')').and_then(|m| m.rsplit_once('(')).map(|(_, unit)| unit);
    if let Some(unit) = tail.and_then(unit_named) {
        return Some(unit);
    }
    let words = words(metric);
    words.iter().rev().take(3).find_map(|word| match word.as_str() {
        "s" | "m" | "b" | "core" | "cores" => None,
        word => unit_named(word),
    })
}

/// Whether the name is one of a value that only grows, by the suffixes of OpenMetrics.
pub fn is_counter_name(metric: &str) -> bool {
    let lower = metric.trim().to_ascii_lowercase();
    ["_total", "_count", "_sum", "_bucket"].iter().any(|suffix| lower.ends_with(suffix))
}

fn unit_named(word: &str) -> Option<&'static str> {
    Some(match word {
        "s" | "sec" | "secs" | "second" | "seconds" => "seconds",
        "ms" | "millis" | "millisecond" | "milliseconds" => "milliseconds",
        "us" | "µs" | "micros" | "microseconds" => "microseconds",
        "ns" | "nanos" | "nanoseconds" => "nanoseconds",
        "%" | "percent" | "pct" | "percentage" => "percent",
        "ratio" => "ratio",
        "m" | "millicores" => "millicores",
        "cores" | "core" => "cores",
        "b" | "B" | "byte" | "bytes" => "bytes",
        "Ki" | "KiB" | "kib" => "kibibytes",
        "Mi" | "MiB" | "mib" => "mebibytes",
        "Gi" | "GiB" | "gib" => "gibibytes",
        "KB" | "kB" | "kb" => "kilobytes",
        "MB" | "mb" => "megabytes",
        "GB" | "gb" => "gigabytes",
        "Ops" | "ops" | "rps" | "qps" | "tps" => "per_second",
        "usd" | "USD" | "$" => "usd",
        "eur" | "EUR" | "€" => "eur",
        _ => return None,
    })
}

/// The lower-case words of a name: split at separators and at changes of case.
fn words(name: &str) -> Vec<String> {
    let chars: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (i, c) in chars.iter().enumerate() {
        let previous = i.checked_sub(1).map(|p| chars[p]);
        let next = chars.get(i + 1);
        let starts = c.is_uppercase()
            && previous.is_some_and(|p| {
                p.is_lowercase() || p.is_ascii_digit() || (p.is_uppercase() && next.is_some_and(|n| n.is_lowercase()))
            });
        if !c.is_alphanumeric() && *c != '%' {
            words.push(String::new());
            continue;
        }
        if starts {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
