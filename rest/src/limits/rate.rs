//! Requests a second of one key or address: a bucket of tokens each, in a table of bounded size.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::admission::rejected;
use crate::error::{Code, Problem};

/// Clients that are remembered at once, about 1 MiB.
const TABLE: usize = 16_384;

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subject(u64);

impl Subject {
    /// Whoever shows this key.
    #[must_use]
    pub fn key(key: &str) -> Self {
        Self::digest(&("key", key))
    }

    /// Whoever comes from this address; of IPv6 the /64, which is one customer's.
    #[must_use]
    pub fn address(address: Option<IpAddr>) -> Self {
        let bits = match address {
            Some(IpAddr::V4(address)) => u64::from(address.to_bits()),
            Some(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
                Some(address) => u64::from(address.to_bits()),
                None => (address.to_bits() >> 64) as u64,
            },
            None => u64::MAX,
        };
        Self::digest(&("address", bits))
    }

    fn digest(what: &impl std::hash::Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The table of buckets.
#[derive(Debug)]
pub struct Rate {
    per_second: f64,
    burst: f64,
    table: Mutex<HashMap<Subject, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Rate {
    /// `per_second` requests, `burst` of them at once; any number where `per_second` is 0.
    #[must_use]
    pub fn new(per_second: u32, burst: u32) -> Self {
        Self {
            per_second: f64::from(per_second),
            burst: f64::from(burst.max(1)),
            table: Mutex::new(HashMap::new()),
        }
    }

    /// Counts one request.
    ///
    /// # Errors
    /// [`Code::RateLimited`], with the time until the next one is possible.
    pub fn take(&self, subject: Subject) -> Result<(), Problem> {
        self.take_at(subject, Instant::now())
    }

    fn take_at(&self, subject: Subject, now: Instant) -> Result<(), Problem> {
        if self.per_second == 0.0 {
            return Ok(());
        }
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() >= TABLE && !table.contains_key(&subject) {
            self.make_room(&mut table, now);
        }
        let bucket = table.entry(subject).or_insert(Bucket { tokens: self.burst, at: now });
        bucket.tokens = self.filled(bucket, now);
        bucket.at = now;
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        let wait_s = (1.0 - bucket.tokens) / self.per_second;
        rejected("rate");
        Err(Problem::plain(Code::RateLimited).retry_after(wait_s.ceil() as u64))
    }

    fn filled(&self, bucket: &Bucket, now: Instant) -> f64 {
        let since_s = now.saturating_duration_since(bucket.at).as_secs_f64();
        (bucket.tokens + since_s * self.per_second).min(self.burst)
    }

    /// Forgets who has been quiet for long enough; where nobody has, half of all.
    fn make_room(&self, table: &mut HashMap<Subject, Bucket>, now: Instant) {
        table.retain(|_, bucket| self.filled(bucket, now) < self.burst);
        if table.len() >= TABLE {
            let mut keep = false;
            table.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_is_let_in_and_then_the_rate() {
        let (rate, now) = (Rate::new(10, 5), Instant::now());
        let subject = Subject::key("a");
        assert_eq!((0..9).filter(|_| rate.take_at(subject, now).is_ok()).count(), 5);
        let later = now + Duration::from_millis(250);
        assert_eq!((0..9).filter(|_| rate.take_at(subject, later).is_ok()).count(), 2);
        assert!(rate.take_at(Subject::key("b"), now).is_ok());
    }

    #[test]
    fn the_table_stays_bounded_under_a_flood_of_addresses() {
        let (rate, now) = (Rate::new(10, 5), Instant::now());
        for n in 0..100_000u32 {
            rate.take_at(Subject::address(Some(IpAddr::V4(n.into()))), now).ok();
        }
        assert!(rate.table.lock().unwrap().len() <= TABLE);
    }
}
