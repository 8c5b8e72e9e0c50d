//! Which service does a name stand for, and which name did somebody mean?

/// Characters that Kubernetes draws random suffixes from: no vowels, so that no word appears by chance.
const RANDOM: &str = "bcdfghjklmnpqrstvwxz2456789";
/// Characters of a ReplicaSet's hash: decimal digits mapped into the alphabet above.
const HASH: &str = "456789bcdf";
/// How long a ReplicaSet's hash may be.
const HASH_LENGTH: std::ops::RangeInclusive<usize> = 8..=10;
/// How long the random suffix of a pod is.
const SUFFIX_LENGTH: usize = 5;
/// How unlike a name may be and still be meant, from 0 to 1.
const NEAR: f64 = 0.7;

/// A workload's name from that of one of its pods: without the hash of a Deployment (`name-64469b5b48-25zj6`), of a
/// ReplicaSet (`name-64469b5b48`), of a DaemonSet or Job (`name-x7k2p`) or of a CronJob (`name-28471020-x7k2p`).
/// Ordinals of a StatefulSet (`name-0`) stay, because its pods are not interchangeable. A name without a hash is returned as it is.
pub fn strip_pod_hash(name: &str) -> &str {
    let Some((rest, last)) = split_last(name) else { return name };
    if let Some((workload, middle)) = split_last(rest)
        && is_suffix(last)
        && is_hash(middle)
    {
        return workload;
    }
    if is_replica_set_hash(last) || is_lone_suffix(last) { rest } else { name }
}

/// The candidate that `name` most likely stands for, if any is near.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let score = |candidate: &str| strsim::jaro_winkler(&lower, &candidate.to_lowercase());
    let best = candidates.into_iter().map(|c| (score(c), c)).max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))?;
    (best.0 >= NEAR).then_some(best.1)
}

fn split_last(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('-').filter(|(rest, last)| !rest.is_empty() && !last.is_empty())
}

/// The hash between a Deployment's name and the suffix of its pod, or a CronJob's schedule time in minutes.
fn is_hash(part: &str) -> bool {
    HASH_LENGTH.contains(&part.len()) && has_digit(part) && (all_of(part, RANDOM) || part.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A random suffix behind a hash.
fn is_suffix(part: &str) -> bool {
    let alphanumeric = part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    part.len() == SUFFIX_LENGTH && (all_of(part, RANDOM) || (alphanumeric && has_digit(part)))
}

fn is_replica_set_hash(part: &str) -> bool {
    HASH_LENGTH.contains(&part.len()) && all_of(part, HASH) && has_digit(part) && has_letter(part)
}

/// A random suffix with nothing before it that would confirm it: a digit before its end tells `x7k2p` from `http2`.
fn is_lone_suffix(part: &str) -> bool {
    part.len() == SUFFIX_LENGTH
        && all_of(part, RANDOM)
        && has_letter(part)
        && part.bytes().take(SUFFIX_LENGTH - 1).any(|b| b.is_ascii_digit())
}

fn all_of(part: &str, alphabet: &str) -> bool {
    part.chars().all(|c| alphabet.contains(c))
}

fn has_digit(part: &str) -> bool {
    part.bytes().any(|b| b.is_ascii_digit())
}

fn has_letter(part: &str) -> bool {
    part.bytes().any(|b| b.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cases: &[(&str, &str)]) {
        for (name, expected) in cases {
            assert_eq!(strip_pod_hash(name), *expected, "{name}");
        }
    }

    #[test]
    fn pods_lose_the_hash_of_their_workload() {
        check(&[
            ("ts-travel-service-64469b5b48-25zj6", "ts-travel-service"),
            ("ts-travel2-service-5d9b9bc8b7-vwxzb", "ts-travel2-service"),
            ("checkout-7d9f8b6c5d-x2k4j", "checkout"),
            ("checkout-5f7d8e9a1b-a0e3i", "checkout"),
            ("web-64469b5b48", "web"),
            ("fluentd-x7k2p", "fluentd"),
            ("nightly-28471020-c9x4z", "nightly"),
        ]);
    }

    #[test]
    fn ordinary_names_stay() {
        check(&[
            ("ts-order-other-service", "ts-order-other-service"),
            ("PetSearch_AWS::ECS::Fargate", "PetSearch_AWS::ECS::Fargate"),
            ("postgres-0", "postgres-0"),
            ("ingress-http2", "ingress-http2"),
            ("storage-nfsv4", "storage-nfsv4"),
            ("app-payments2-proxy", "app-payments2-proxy"),
            ("report-20230129", "report-20230129"),
            ("cache-redis", "cache-redis"),
            ("a-b", "a-b"),
            ("-25zj6", "-25zj6"),
            ("64469b5b48-25zj6", "64469b5b48"),
            ("", ""),
            ("-", "-"),
            ("größe-ß", "größe-ß"),
        ]);
    }

    #[test]
    fn a_mistyped_name_finds_its_neighbour_and_a_strange_one_does_not() {
        assert_eq!(nearest("patern", ["path", "pattern", "limit"]), Some("pattern"));
        assert_eq!(nearest("read", ["Read", "Write"]), Some("Read"));
        assert_eq!(nearest("zzz", ["Read", "Write"]), None);
    }
}
