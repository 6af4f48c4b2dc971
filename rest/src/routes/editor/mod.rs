//! The contract of the distributed music editor, as its pages know it.
//!
//! A song is sent first (`POST /music`) and separated when its tracks are asked for (`POST /music/{id}`): that is one
//! job of this service, whose results are the tracks as MP3 and, under the name [`FINAL`], their mix. The stems come
//! before it, so each has its link before the mix is there. Asked for other tracks, the song has another job, which
//! is made from the sources of the first one as long as these are kept.
//!
//! Songs and units of work are known by numbers of 53 bits, the beginnings of hashes. A link names the job that made
//! the file: it leads to the same bytes for ever, whatever is asked for later.

mod music;
mod progress;
mod table;
mod tracks;
mod units;

use common::Tenant;
use common::job::Music;

use crate::error::{Code, Problem};
use crate::state::App;

pub(super) use self::table::entries;

/// Name of the mix among a job's results, which comes after the stems.
const FINAL: &str = "final";

/// Methods of `/music` and of the songs below it, whose faults are told as those of the method.
const METHODS: &str = "GET, HEAD, POST";

/// What was sent cannot be used.
fn invalid(sentence: &str) -> Problem {
    Problem::new(Code::InvalidRequest, sentence).allow(METHODS)
}

fn missing(sentence: &str) -> Problem {
    Problem::new(Code::NotFound, sentence)
}

/// A number as it stands in a path.
fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

/// A song by its number.
async fn find(app: &App, tenant: &Tenant, text: &str) -> Result<Music, Problem> {
    let missing = || missing("Music not found.");
    let number = number(text).ok_or_else(missing)?;
    if let Some(music) = app.ledger.music_numbered(tenant, number).await? {
        return Ok(music);
    }
    Err(if app.ledger.was_music(tenant, number).await? { Problem::plain(Code::Gone) } else { missing() })
}
