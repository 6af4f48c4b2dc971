//! Who asks: keys, tenants, operators.
//!
//! A key is known by its SHA-256 only, and compared in constant time. What is another tenant's does not exist
//! for the asker: 404, never 403.

use std::net::IpAddr;
use std::path::Path;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use common::Tenant;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::config::{AuthArgs, AuthMode};
use crate::error::{Code, Dialect, Problem};
use crate::limits::Subject;
use crate::request::{Peer, text};
use crate::routes::is_page;
use crate::state::App;

/// The keys that are known.
#[derive(Debug, Default)]
pub struct Keys(Vec<Key>);

#[derive(Debug)]
struct Key {
    digest: [u8; 32],
    caller: Caller,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose jobs it sees.
    pub tenant: Tenant,
    /// Whether it may reset the service and look after its queue.
    pub operator: bool,
}

impl Caller {
    /// Everyone, where no key is wanted: an operator too, as long as no interface wants one.
    #[must_use]
    pub fn anyone(auth: &AuthArgs) -> Self {
        let operator = [auth.auth, auth.auth_old] == [AuthMode::None; 2];
        Self { tenant: Tenant::default_tenant(), operator }
    }

    /// Whether it is an operator.
    ///
    /// # Errors
    /// [`Code::Forbidden`].
    pub fn must_operate(&self) -> Result<(), Problem> {
        if self.operator { Ok(()) } else { Err(Problem::plain(Code::Forbidden)) }
    }
}

impl Keys {
    /// Keys from a text: a line (or a part between `;`) each of SHA-256 in hexadecimal digits, tenant, and
    /// `operator` where it applies. Empty lines and those that begin with `#` mean nothing.
    ///
    /// # Errors
    /// A sentence with the number of the line that cannot be read; never with what is in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Vec::new();
        for (number, line) in text.split(['\n', ';']).enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let invalid = |what: &str| format!("line {} of the keys: {what}", number + 1);
            let words: Vec<&str> = line.split_whitespace().collect();
            let operator = match words.get(2..) {
                Some(["operator"]) => true,
                Some([]) => false,
                _ => return Err(invalid("a digest, a tenant and perhaps `operator` are expected")),
            };
            let digest: common::SongHash =
                words[0].parse().map_err(|_| invalid("the digest is not 64 lowercase hexadecimal digits"))?;
            let tenant = words[1].parse().map_err(|_| invalid("a tenant is 1 to 32 of a-z 0-9 _"))?;
            keys.push(Key { digest: *digest.bytes(), caller: Caller { tenant, operator } });
        }
        Ok(Self(keys))
    }

    /// Keys from a file and from a text, either of which may be missing.
    ///
    /// # Errors
    /// A sentence that says what cannot be read.
    pub fn load(file: Option<&Path>, text: Option<&str>) -> Result<Self, String> {
        let mut keys = Self::parse(text.unwrap_or_default())?;
        if let Some(file) = file {
            let text =
                std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
            keys.0.extend(Self::parse(&text)?.0);
        }
        Ok(keys)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose key this is. Every known key is compared, whichever fits.
    #[must_use]
    pub fn find(&self, shown: &str) -> Option<&Caller> {
        let digest: [u8; 32] = Sha256::digest(shown.as_bytes()).into();
        let mut found = None;
        for key in &self.0 {
            if bool::from(key.digest.ct_eq(&digest)) {
                found = Some(&key.caller);
            }
        }
        found
    }
}

/// Lets a request in: within its rate, with a key where one is wanted.
pub(crate) async fn gate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let mode = match Dialect::of(path) {
        _ if is_page(path) => AuthMode::None,
        Dialect::Old | Dialect::Editor => app.config.auth.auth_old,
        Dialect::Problem => app.config.auth.auth,
    };
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    match admit(&app, mode, request.headers(), peer) {
        Ok((caller, subject)) => {
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(subject);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Who asks with these headers from this address, and as whom it is counted, where an interface has this mode.
pub(crate) fn admit(
    app: &App,
    mode: AuthMode,
    headers: &HeaderMap,
    peer: Option<IpAddr>,
) -> Result<(Caller, Subject), Problem> {
    let shown = shown(headers);
    let caller = shown.and_then(|key| app.keys.find(key));
    // By address before anything else, so that guessing keys is limited too.
    let subject = match (caller, shown) {
        (Some(_), Some(key)) => Subject::key(key),
        _ => Subject::address(address(app, headers, peer)),
    };
    app.rate.take(subject)?;
    let caller = match (caller, mode) {
        (Some(caller), _) => caller.clone(),
        (None, AuthMode::None) => Caller::anyone(&app.config.auth),
        (None, AuthMode::Key) => return Err(Problem::plain(Code::Unauthorized)),
    };
    Ok((caller, subject))
}

/// Whether a request shows a key that is known.
pub(crate) fn shows_key(app: &App, headers: &HeaderMap) -> bool {
    shown(headers).is_some_and(|key| app.keys.find(key).is_some())
}

/// The key that a request shows.
fn shown(headers: &HeaderMap) -> Option<&str> {
    let bearer = text(headers, "authorization").split_once(' ');
    let bearer =
        bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, key)| key.trim());
    bearer.or_else(|| Some(text(headers, "x-api-key"))).filter(|key| !key.is_empty())
}

/// The client's address: what the outermost trusted proxy saw, or the other end of the connection.
fn address(app: &App, headers: &HeaderMap, peer: Option<IpAddr>) -> Option<IpAddr> {
    let proxies = app.config.limits.proxies;
    // Some proxies write behind what came to them, others a line of their own: one list from the last line on.
    let lines = headers.get_all("x-forwarded-for").iter().rev().filter_map(|line| line.to_str().ok());
    let mut named = lines.flat_map(|line| line.rsplit(','));
    let outermost = proxies.checked_sub(1).and_then(|others| named.nth(others));
    outermost.and_then(|address| address.trim().parse().ok()).or(peer)
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Routes without the gate in front of them have no callers.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::plain(Code::Unauthorized))
    }
}
