//! Why a task did not succeed, and whether another try may help.

use common::ledger::LedgerError;
use common::queue::QueueError;
use common::storage::{Retry, StoreError};

use crate::engines::EngineError;
use crate::lease::Ended;

/// Why a task did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failed {
    /// It was asked to end.
    Ended(Ended),
    /// It would fail again; a sentence for the song's owner.
    Permanent(String),
    /// It may succeed later or elsewhere; a sentence for the operator.
    Transient(String),
    /// Store or queue did not do what they were asked for; a sentence for the operator.
    Outage(String),
    /// It may succeed in another process: the device of this one has failed; a sentence for the operator.
    Device(String),
}

impl From<Ended> for Failed {
    fn from(why: Ended) -> Self {
        Self::Ended(why)
    }
}

impl From<LedgerError> for Failed {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Store(error) => error.into(),
            LedgerError::Queue(error) => error.into(),
            LedgerError::Record { .. } => Self::Transient(error.to_string()),
        }
    }
}

impl From<QueueError> for Failed {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Unavailable(_) => Self::Outage(error.to_string()),
            QueueError::Strange(_) => Self::Transient(error.to_string()),
        }
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        match error.retry() {
            Retry::Soon | Retry::WhenThereIsRoom => Self::Outage(error.to_string()),
            Retry::Never => Self::Transient(error.to_string()),
        }
    }
}

impl From<EngineError> for Failed {
    fn from(error: EngineError) -> Self {
        let of_the_card = match &error {
            EngineError::Network(error) | EngineError::Engine(separation::Error::Separate(error)) => {
                error.is_of_the_card()
            }
            _ => false,
        };
        let text = sentence(&error);
        if of_the_card { Self::Device(text) } else { Self::Transient(text) }
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Self::Transient(error.to_string())
    }
}

impl From<separation::Error> for Failed {
    fn from(error: separation::Error) -> Self {
        let text = sentence(&error);
        match error {
            separation::Error::Audio(audio) => match audio {
                audio::Error::Io { .. } | audio::Error::DiskFull { .. } => Self::Transient(text),
                _ => Self::Permanent(text),
            },
            separation::Error::Empty | separation::Error::Separate(demucs::Error::Request(_)) => {
                Self::Permanent(text)
            }
            separation::Error::Separate(error) if error.is_of_the_card() => Self::Device(text),
            separation::Error::Separate(_)
            | separation::Error::Stopped
            | separation::Error::Space { .. }
            | separation::Error::Folder { .. }
            | separation::Error::Write { .. }
            | separation::Error::Ended
            | separation::Error::Thread(_) => Self::Transient(text),
        }
    }
}

/// An error with its causes, none of them twice.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    text
}
