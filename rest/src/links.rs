//! Links that are whole: for clients that follow them from elsewhere.

use axum::http::HeaderMap;
use url::Url;

use crate::request::text;

/// How links to this server begin, without a slash at the end: as the settings say, else as the request came, past
/// proxies that name what they were asked for. Who lies there has a link that leads astray in an answer of its own.
pub(crate) fn base(public: Option<&Url>, headers: &HeaderMap) -> String {
    let told = || {
        let host = forwarded_host(headers).or_else(|| first(headers, "host"))?;
        let scheme = first(headers, "x-forwarded-proto").filter(|scheme| matches!(*scheme, "http" | "https"));
        let prefix = first(headers, "x-forwarded-prefix").unwrap_or_default().trim_matches('/');
        let url = Url::parse(&format!("{}://{host}/", scheme.unwrap_or("http"))).ok()?;
        // Nothing but a host and a port was in it.
        let plain =
            url.path() == "/" && url.username().is_empty() && url.query().or(url.fragment()).is_none();
        if plain { url.join(prefix).ok() } else { None }
    };
    let url = public.cloned().or_else(told);
    url.map_or_else(String::new, |url| url.as_str().trim_end_matches('/').to_owned())
}

/// What the proxy that stands nearest to the client was asked for.
pub(crate) fn forwarded_host(headers: &HeaderMap) -> Option<&str> {
    first(headers, "x-forwarded-host")
}

/// The first of several values, which the proxy wrote that stands nearest to the client.
fn first<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    text(headers, name).split(',').next().map(str::trim).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn begins(public: Option<&str>, headers: &[(&'static str, &'static str)]) -> String {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        base(public.map(|url| Url::parse(url).unwrap()).as_ref(), &headers)
    }

    #[test]
    fn a_link_begins_as_the_client_reached_the_server() {
        let host = ("host", "10.0.0.7:5000");
        assert_eq!(begins(None, &[host]), "http://10.0.0.7:5000");
        assert_eq!(begins(None, &[("host", "[::1]:5000")]), "http://[::1]:5000");
        let proxied = [host, ("x-forwarded-host", "music.example, inner"), ("x-forwarded-proto", "https")];
        assert_eq!(begins(None, &proxied), "https://music.example");
        let below = [host, ("x-forwarded-host", "music.example:8443"), ("x-forwarded-prefix", "/stems/")];
        assert_eq!(begins(None, &below), "http://music.example:8443/stems");
        assert_eq!(begins(Some("https://a.example/b/"), &proxied), "https://a.example/b");
    }

    #[test]
    fn what_is_no_host_makes_no_link_to_elsewhere() {
        for host in ["a.example/evil", "user@a.example", "a b", "a.example?x", "a.example#x", ""] {
            assert_eq!(begins(None, &[("host", host)]), "", "{host}");
        }
        assert_eq!(begins(None, &[("host", "a"), ("x-forwarded-proto", "javascript")]), "http://a");
    }
}
