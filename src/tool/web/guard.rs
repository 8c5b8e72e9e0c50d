//! Which servers may be asked? [`target`] finds a listed one, by default at public addresses only.
//!
//! A name is resolved first and the request goes to the addresses that were checked, so that a name that changes its mind in between
//! leads nowhere else.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use reqwest::{Client, Url};

use super::address;
use crate::{
    http,
    value::{Failure, FailureKind, HttpSpec},
};

/// A host that may be asked, and where it is.
#[derive(Debug)]
pub(in crate::tool) struct Target {
    /// What to ask.
    pub url: Url,
    addresses: Vec<SocketAddr>,
}

/// Why an address may not be asked.
#[derive(Debug)]
pub(in crate::tool) enum Refusal {
    /// No list has its host and port.
    NotListed(String),
    /// Its host is listed, but not at a private address.
    Private {
        /// The host.
        host: String,
        /// Where it is.
        address: IpAddr,
    },
    /// Something else.
    Failed(Failure),
}

impl Target {
    /// A client that asks there and nowhere else.
    ///
    /// # Errors
    /// The system has none.
    pub(in crate::tool) fn client(&self) -> Result<Client, Failure> {
        let host = self.url.host_str().unwrap_or_default();
        let builder = http::client(self.url.as_str()).no_proxy().resolve_to_addrs(host, &self.addresses);
        builder.build().map_err(|e| Failure::new(FailureKind::Tool, format!("there is no client for it: {e}")))
    }
}

/// Where that address leads, if it may be asked.
///
/// # Errors
/// It may not, or its name cannot be resolved.
pub(in crate::tool) async fn target(policy: &HttpSpec, url: Url) -> Result<Target, Refusal> {
    let denied = |why: String| Err(Refusal::Failed(Failure::new(FailureKind::Denied, why)));
    if !matches!(url.scheme(), "http" | "https") {
        return denied(format!("{url} is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return denied("an address may not hold a name or password; put them into a header".to_owned());
    }
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return denied(format!("{url} names no host"));
    };
    let listed = |hosts: &[Arc<str>]| hosts.iter().any(|pattern| covers(pattern, host, port));
    let private = listed(&policy.private_hosts);
    if !private && !listed(&policy.hosts) {
        return Err(Refusal::NotListed(format!("{host}:{port}")));
    }
    let plain = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let failed = |why: String| Refusal::Failed(Failure::new(FailureKind::Tool, why));
    let addresses: Vec<SocketAddr> = match plain.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => match tokio::net::lookup_host((plain.as_str(), port)).await {
            Ok(found) => found.collect(),
            Err(e) => return Err(failed(format!("{host} cannot be resolved: {e}"))),
        },
    };
    if let Some(bad) = addresses.iter().find(|a| !private && !address::is_public(a.ip())) {
        return Err(Refusal::Private { host: host.to_owned(), address: bad.ip() });
    }
    if addresses.is_empty() {
        return Err(failed(format!("{host} has no address")));
    }
    Ok(Target { url, addresses })
}

/// Whether `pattern` (`host`, `*.host`, either with `:port`) covers a host. Without a port it covers those of http and https.
pub(super) fn covers(pattern: &str, host: &str, port: u16) -> bool {
    let (name, ports) = match pattern.rsplit_once(':') {
        Some((name, number))
            if !name.ends_with(':') && number.parse::<u16>().is_ok() && (!name.contains(':') || name.ends_with(']')) =>
        {
            (name, number.parse::<u16>().ok())
        }
        Some(_) | None => (pattern, None),
    };
    if !ports.map_or(matches!(port, 80 | 443), |only| only == port) {
        return false;
    }
    let plain = |text: &str| text.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_ascii_lowercase();
    let (name, host) = (plain(name), plain(host));
    if let (Ok(one), Ok(other)) = (name.parse::<IpAddr>(), host.parse::<IpAddr>()) {
        return one == other;
    }
    match name.strip_prefix("*.") {
        Some(above) => host.strip_suffix(above).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => name == host,
    }
}

/// What became of a request that got no answer. One that was never sent is no matter of doubt.
pub(in crate::tool) fn failed(error: &reqwest::Error, url: &Url) -> Failure {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        said = next.to_string();
        cause = next.source();
    }
    if error.is_builder() {
        return Failure::new(FailureKind::Schema, format!("the request to {url} cannot be made: {said}"));
    }
    let kind = if error.is_connect() { FailureKind::Tool } else { FailureKind::Transport };
    Failure::new(kind, format!("{url} did not answer: {said}"))
}
