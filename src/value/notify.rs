//! How is a person told of a question? By a command, or by a request to a web address: [`Notify`].

use core::net::{Ipv4Addr, Ipv6Addr};

/// A way to tell somebody, as a team file writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify<'a> {
    /// A POST to an address: `https`, or `http` on this machine.
    Url(&'a str),
    /// A command line for the shell.
    Command(&'a str),
}

impl<'a> Notify<'a> {
    /// What the text means.
    ///
    /// # Errors
    /// A sentence that says what is wrong with an address.
    pub fn of(text: &'a str) -> Result<Self, String> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
            return if text.is_empty() { Err("it says nothing".to_owned()) } else { Ok(Self::Command(text)) };
        };
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err("an address has no spaces in it".to_owned());
        }
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if host.contains('@') {
            return Err("an address may not hold a name or password; let its receiver look at the signature".to_owned());
        }
        match scheme.to_ascii_lowercase().as_str() {
            _ if host.is_empty() => Err("the address names no host".to_owned()),
            "https" => Ok(Self::Url(text)),
            "http" if is_here(host) => Ok(Self::Url(text)),
            "http" => Err(format!("http to {host} would send the question in the clear; write https")),
            other => Err(format!("{other} is neither https nor a command")),
        }
    }

    /// The host of an address, the name of a command: what may be shown, since the rest of an address may hold a key.
    pub fn shown(self) -> &'a str {
        match self {
            Self::Url(url) => {
                let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
                rest.split(['/', '?', '#']).next().unwrap_or_default()
            }
            Self::Command(line) => line.split_whitespace().next().unwrap_or_default(),
        }
    }
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// Whether a host, with or without a port, is this machine.
fn is_here(host: &str) -> bool {
    if let Some(inside) = host.strip_prefix('[') {
        let address = inside.split(']').next().and_then(|a| a.parse::<Ipv6Addr>().ok());
        return address.is_some_and(|a| a.is_loopback());
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok_and(|a| a.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_with_a_scheme_and_all_else_a_command() {
        let check = |text, expected: Result<Notify<'_>, &str>| match (Notify::of(text), expected) {
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{text}: {found}"),
            (found, expected) => assert_eq!(found, expected.map_err(str::to_owned), "{text}"),
        };
        for here in ["http://127.0.0.1:80/x", "http://localhost/x?y", "http://[::1]:9/", "HTTP://127.9.9.9"] {
            check(here, Ok(Notify::Url(here)));
        }
        check(" https://hooks.example.com/T1/B2 ", Ok(Notify::Url("https://hooks.example.com/T1/B2")));
        check("http://example.com/x", Err("write https"));
        check("http://127.0.0.1.example.com", Err("write https"));
        check("http://localhost.example.com:80", Err("write https"));
        check("https://ann:secret@example.com", Err("password"));
        check("https:///x", Err("no host"));
        check("https://example.com/a b", Err("no spaces"));
        check("ftp://example.com", Err("neither"));
        check("", Err("nothing"));
        check("page --to ann", Ok(Notify::Command("page --to ann")));
        check("curl -d @- https://example.com", Ok(Notify::Command("curl -d @- https://example.com")));
    }

    #[test]
    fn what_may_be_shown_of_an_address_is_its_host() {
        assert_eq!(Notify::Url("https://hooks.example.com/secret").shown(), "hooks.example.com");
        assert_eq!(Notify::Command("page --key secret").shown(), "page");
    }
}
