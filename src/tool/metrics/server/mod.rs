//! Which servers of metrics may be asked? [`Servers`]: those that a team declares, and those at hosts that its `http` tool may ask.
//!
//! The way of a question: [`Servers::asked`] → [`gather()`] (what to ask, at which step) → [`ask`] (HTTP, within limits) →
//! [`mod@answer`] (JSON to samples). What comes of it goes the way of samples from files. Servers answer as Prometheus does, whatever they are.
//!
//! Deliberately absent: redirects, because a key is for one host; anything that changes a server.

mod answer;
mod ask;
mod gather;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use reqwest::Url;

pub use gather::{Wanted, gather};

use super::{args::Args, error::MetricsError};
use crate::{
    secret::Env,
    tool::nearest,
    value::{Failure, FailureKind, HttpSpec, MetricsSpec, TeamTools},
};

/// The servers that a team may ask.
pub struct Servers {
    declared: Vec<MetricsSpec>,
    /// The hosts of the `http` tool.
    http: HttpSpec,
    env: Env,
}

/// A server to ask.
#[derive(Clone, Debug)]
pub struct Server {
    /// Its name in the team file, or its address.
    pub name: Arc<str>,
    base: Url,
    /// The hosts that may be asked: its own, or those of the list that it must be on.
    hosts: HttpSpec,
    /// The variable with the value of the `Authorization` header, and the value.
    authorization: Option<(Arc<str>, Option<String>)>,
}

impl Servers {
    /// Those of a team; `None` where it declares none and has no `http` tool.
    pub fn of(tools: &TeamTools, env: &Env) -> Option<Self> {
        if tools.metrics.is_empty() && tools.http.is_none() {
            return None;
        }
        // Keys are secrets from now on, whoever says them.
        tools.metrics.iter().filter_map(|server| server.authorization_env.as_ref()).for_each(|name| drop(env.get(name)));
        Some(Self { declared: tools.metrics.clone(), http: tools.http.clone().unwrap_or_default(), env: env.clone() })
    }

    /// What a model is told of them.
    pub fn description(&self) -> String {
        let hosts: Vec<&str> = self.http.hosts.iter().chain(&self.http.private_hosts).map(|host| &**host).collect();
        let listed =
            (!hosts.is_empty()).then(|| format!("the address of one at a host that may be asked ({})", hosts.join(", ")));
        let declared = (!self.declared.is_empty()).then(|| self.names().join(", "));
        let which = declared.into_iter().chain(listed).collect::<Vec<_>>().join(", or ");
        format!("It also asks servers of Prometheus, with `server` in place of `path`: {which}.")
    }

    /// The server that a question is for; `None` where it is for files.
    ///
    /// # Errors
    /// It is for both or for neither, or there is no such server.
    pub fn asked(&self, args: &Args) -> Result<Option<Server>, MetricsError> {
        match (&args.server, &args.path) {
            (Some(_), Some(_)) => Err(MetricsError::argument("server", "stands in place of `path`; give one of them")),
            (Some(named), None) => self.find(named).map(Some),
            (None, Some(_)) if args.query.is_some() => Err(MetricsError::argument(
                "query",
                "is for a server; of files, `service`, `metric` and `kind` choose the series",
            )),
            (None, Some(_)) => Ok(None),
            (None, None) => {
                let names = if self.declared.is_empty() { "its address".to_owned() } else { self.names().join(" or ") };
                Err(MetricsError::argument("path", format!("is missing; name a file or folder, or a `server`: {names}")))
            }
        }
    }

    fn names(&self) -> Vec<&str> {
        self.declared.iter().map(|server| &*server.name).collect()
    }

    fn find(&self, named: &str) -> Result<Server, MetricsError> {
        let named = named.trim();
        let same = |server: &&MetricsSpec| *server.name == *named || bare(&server.url) == bare(named);
        if let Some(declared) = self.declared.iter().find(same) {
            return self.declared(declared);
        }
        if !named.contains("://") {
            let meant = match nearest(named, self.names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if self.declared.is_empty() => "give the address of one".to_owned(),
                None => format!("there are {}", self.names().join(", ")),
            };
            return Err(MetricsError::argument("server", format!("no server is called `{named}`; {meant}")));
        }
        let base = Url::parse(named).map_err(|e| MetricsError::argument("server", format!("`{named}` is no address: {e}")))?;
        if base.query().is_some() || base.fragment().is_some() {
            let problem = format!("`{named}` has more than an address in it; what to ask goes into `query`");
            return Err(MetricsError::argument("server", problem));
        }
        Ok(Server { name: bare(named).into(), base, hosts: self.http.clone(), authorization: None })
    }

    fn declared(&self, server: &MetricsSpec) -> Result<Server, MetricsError> {
        let wrong = |why: String| {
            MetricsError::from(Failure::new(
                FailureKind::Tool,
                format!("the address of `{}` in the team file: {why}", server.name),
            ))
        };
        let base = Url::parse(&server.url).map_err(|e| wrong(e.to_string()))?;
        let (Some(host), Some(port)) = (base.host_str(), base.port_or_known_default()) else {
            return Err(wrong("it names no host".to_owned()));
        };
        let own = vec![Arc::from(format!("{host}:{port}"))];
        let hosts = if server.private {
            HttpSpec { private_hosts: own, ..HttpSpec::default() }
        } else {
            HttpSpec { hosts: own, ..HttpSpec::default() }
        };
        let authorization = server.authorization_env.as_ref().map(|name| (name.clone(), self.env.get(name)));
        Ok(Server { name: server.name.clone(), base, hosts, authorization })
    }
}

fn bare(address: &str) -> &str {
    address.trim_end_matches('/')
}
