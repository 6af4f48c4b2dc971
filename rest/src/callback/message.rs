//! What is told, and how it is signed. Source: the Standard Webhooks specification, 1.0.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use common::job::{Callback, View};
use common::queue::State;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::digest::hex;

/// What a caller is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The same on each try, and for the same end of the same job.
    pub id: String,
    /// The JSON.
    pub body: String,
    /// Whether it is signed: the older contract's is sent as it is.
    pub signed: bool,
}

impl Message {
    /// What `callback` is told of a job that ended; nothing where the older contract has nothing to say.
    #[must_use]
    pub fn of(callback: &Callback, job: &View) -> Option<Self> {
        if let Some(data) = &callback.data {
            let body = data.as_str().to_owned();
            return (job.state == State::Succeeded).then(|| Self { id: Self::id(job), body, signed: false });
        }
        let body = serde_json::to_string(job).ok()?;
        Some(Self { id: Self::id(job), body, signed: true })
    }

    fn id(job: &View) -> String {
        let state = match job.state {
            State::Queued => "queued",
            State::Running => "running",
            State::Succeeded => "succeeded",
            State::Failed => "failed",
            State::Canceled => "canceled",
        };
        format!("msg_{}", hex(format!("webhook 1\n{}\n{state}", job.id), 16))
    }
}

/// What messages are signed with.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// `whsec_` and base64, or the bytes of any other text.
    ///
    /// # Errors
    /// A sentence where what follows `whsec_` is no base64.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("whsec_") {
            Some(encoded) => {
                let decoded = STANDARD.decode(encoded);
                decoded.map(Self).map_err(|_| "the callback secret is not base64 after whsec_".to_owned())
            }
            None => Ok(Self(text.as_bytes().to_vec())),
        }
    }

    /// The value of `webhook-signature`.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp_s: u64, body: &str) -> String {
        // A key of any length is taken.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(format!("{id}.{timestamp_s}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specification() {
        let secret = Secret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(Secret::parse("whsec_!").is_err());
    }
}
