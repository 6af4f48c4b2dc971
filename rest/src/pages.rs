//! Pages in browsers, and what they may not have done here in the name of whoever looks at them.
//!
//! A browser says of a page where it came from (`Origin`, `Sec-Fetch-Site`); a request that says neither is of no page.
//! That is not enough where no key is shown: the owner of a name can lead it to any address, this server's too (DNS
//! rebinding), and a page under that name then comes from where it calls. Names that strangers can own are therefore
//! not this server's until its operator says so; addresses and names of a local network are.

use axum::http::HeaderMap;
use url::{Host, Url};

use crate::auth;
use crate::config::Config;
use crate::error::{Code, Problem};
use crate::links;
use crate::request::text;
use crate::state::App;

/// What names of local networks and clusters end with; none is sold to anybody.
const LOCAL: [&str; 7] = [".home.arpa", ".internal", ".lan", ".local", ".localhost", ".svc", ".test"];

/// No page of another site, and none under a name that is not this server's, may do this; those of origins that the
/// settings name may.
///
/// # Errors
/// [`Code::Forbidden`].
pub(crate) fn no_foreign_page(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let origin = origin(headers);
    if is_named(&app.config, origin) {
        return Ok(());
    }
    let own = origin.is_empty() || is_own(&app.config, headers);
    if own && matches!(site(headers), "" | "none" | "same-origin") {
        under_our_name(app, headers)
    } else {
        Err(Problem::new(Code::Forbidden, "a page of another site may not do this"))
    }
}

/// No page may do this under a name that is not this server's. Whether those of other sites may is for CORS to say,
/// which browsers ask first.
///
/// # Errors
/// [`Code::Forbidden`].
pub(crate) fn no_misled_page(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let all = app.config.cors.iter().any(|origin| origin == "*");
    if all || is_named(&app.config, origin(headers)) { Ok(()) } else { under_our_name(app, headers) }
}

fn under_our_name(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let (config, origin) = (&app.config, origin(headers));
    let no_page = origin.is_empty() && site(headers).is_empty();
    let public = config.editor.public_url.as_ref();
    let under_public_name = public.is_some_and(|public| same_origin(origin, public.as_str()));
    // No page of a stranger has a key.
    let trusted = no_page || under_public_name || is_ours(config, text(headers, "host"));
    if trusted || auth::shows_key(app, headers) {
        return Ok(());
    }
    let why =
        "a page under this name may not do this: who runs the server names it with --hosts or PUBLIC_URL";
    Err(Problem::new(Code::Forbidden, why))
}

fn origin(headers: &HeaderMap) -> &str {
    text(headers, "origin")
}

fn site(headers: &HeaderMap) -> &str {
    text(headers, "sec-fetch-site")
}

/// Whether pages of this origin were let in by its name.
fn is_named(config: &Config, origin: &str) -> bool {
    !origin.is_empty() && config.cors.iter().any(|named| named.trim_end_matches('/') == origin)
}

/// Whether a page comes from where its request went: by the settings, by what a proxy was asked for, or by `Host`.
fn is_own(config: &Config, headers: &HeaderMap) -> bool {
    let origin = origin(headers);
    let scheme = origin.split_once("://").map_or("http", |(scheme, _)| scheme);
    let public = config.editor.public_url.as_ref().map(Url::to_string);
    let forwarded = links::forwarded_host(headers).map(|host| format!("{scheme}://{host}/"));
    let asked = format!("{scheme}://{}/", text(headers, "host"));
    public.iter().chain(&forwarded).chain([&asked]).any(|url| same_origin(origin, url))
}

fn same_origin(one: &str, other: &str) -> bool {
    let of = |text| Url::parse(text).ok().map(|url| url.origin()).filter(url::Origin::is_tuple);
    of(one).is_some_and(|origin| of(other) == Some(origin))
}

/// Whether a host is an address, a name that no stranger can own, or one of the settings'.
fn is_ours(config: &Config, host: &str) -> bool {
    let Ok(url) = Url::parse(&format!("http://{host}/")) else { return false };
    let name = match url.host() {
        Some(Host::Domain(name)) => name.trim_end_matches('.'),
        Some(_) => return true,
        None => return false,
    };
    let public = config.editor.public_url.as_ref().and_then(Url::host_str);
    let mut named = config.hosts.iter().map(String::as_str).chain(public);
    !name.contains('.')
        || LOCAL.iter().any(|end| name.ends_with(end))
        || named.any(|named| named.eq_ignore_ascii_case(name))
}
