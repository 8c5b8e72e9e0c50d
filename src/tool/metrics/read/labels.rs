//! Which label names what? [`Identity`]: service, instance and the rest, told apart by what labels are usually called.

use super::Sample;

/// Labels that name a service, best first.
const SERVICES: [&str; 9] =
    ["service", "service_name", "app", "app_kubernetes_io_name", "application", "component", "deployment", "workload", "job"];
/// Labels that name an instance, best first.
const INSTANCES: [&str; 6] = ["pod", "pod_name", "instance", "container", "node", "host"];
/// The label that names the metric.
pub const NAME: &str = "__name__";

/// What a series is of, by its labels.
#[derive(Clone, Debug)]
pub struct Identity<'a> {
    /// The service; empty when no label names one.
    pub service: &'a str,
    /// The instance, as written; empty when no label names one.
    pub instance: &'a str,
    /// The metric.
    pub metric: &'a str,
    /// Further labels as `key=value,…`, sorted.
    pub labels: String,
}

impl<'a> Identity<'a> {
    /// That of a metric with these labels.
    pub fn of(metric: &'a str, labels: &'a [(impl AsRef<str>, impl AsRef<str>)]) -> Self {
        let label = |keys: &[&str]| {
            let pairs = || labels.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
            keys.iter().find_map(|key| pairs().find(|(name, value)| name == key && !value.is_empty()))
        };
        let (service, instance) = (label(&SERVICES), label(&INSTANCES));
        let is = |found: Option<(&str, &str)>, key: &str| found.is_some_and(|(name, _)| name == key);
        let mut rest: Vec<String> = labels
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
            .filter(|(key, _)| *key != NAME && !is(service, key) && !is(instance, key))
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        rest.sort_unstable();
        let value = |found: Option<(&'a str, &'a str)>| found.map_or("", |(_, value)| value);
        Self { service: value(service), instance: value(instance), metric, labels: rest.join(",") }
    }

    /// A sample of it.
    pub fn sample(&self, counter: Option<bool>, at: i64, value: f64) -> Sample<'_> {
        let Self { service, instance, metric, labels } = self;
        Sample { service, instance, metric, labels, counter, at, value }
    }
}
