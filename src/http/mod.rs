//! How does this program ask others over HTTP? [`client`]: what holds for every request of a model, a tool and a server of tools.

use reqwest::{Client, ClientBuilder, redirect::Policy};

/// A client for requests to `address`, to be set up further. It follows no redirect: a key is for one host, and whoever wants to
/// go on looks first where that leads. What is on this machine is reached past any proxy.
pub(crate) fn client(address: &str) -> ClientBuilder {
    // The one library for TLS that is linked, without which the client panics; another part of the program may have installed one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder().redirect(Policy::none()).user_agent(concat!("synod/", env!("CARGO_PKG_VERSION")));
    if is_here(address) { builder.no_proxy() } else { builder }
}

/// Whether an address is on this machine, where no proxy leads to.
fn is_here(address: &str) -> bool {
    let host = address.split_once("://").map_or(address, |(_, rest)| rest);
    ["localhost", "127.", "[::1]"].iter().any(|here| host.starts_with(here))
}
