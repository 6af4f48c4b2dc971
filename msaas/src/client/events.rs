//! Following a job: server-sent events, across connections that break and servers that restart.

use std::io::{self, BufRead, BufReader, Read as _};
use std::time::{Duration, Instant};

use common::job::View;
use common::{JobId, StemName};
use serde::{Deserialize, Serialize};
use ureq::Body;
use ureq::http::{Method, Response, StatusCode, header};

use super::{Patience, Server};

/// Most bytes of a line; an event carries a whole job.
const MAX_LINE_BYTES: u64 = 4 << 20;

/// A connection that lasted so long was a good one, even if nothing happened.
const GOOD_AFTER: Duration = Duration::from_secs(20);

/// What a server tells of a job: `state`, `progress`, `stem`, or `snapshot` after a gap.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Which of them.
    #[serde(default, skip_deserializing)]
    pub(crate) event: String,
    #[serde(flatten)]
    pub(crate) job: View,
    /// The stem that can be fetched from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stem: Option<StemName>,
}

/// How one connection ended.
enum Ended {
    /// The job has.
    Job(Box<View>),
    /// All that there is to say was said earlier.
    Silence,
    /// Too early, or the server wants a new connection.
    Early(super::Error),
}

impl Server {
    /// Tells what happens to a job until it has ended; gives it as it is then. Each thing is told once, however
    /// often the connection breaks; the server is waited for where it was never there too.
    pub(crate) fn follow(
        &self,
        id: &JobId,
        tell: &mut dyn FnMut(&Told) -> anyhow::Result<()>,
    ) -> anyhow::Result<View> {
        let (mut last, mut patience) = (None, Patience::new());
        loop {
            let request = self.ask(Method::GET, &format!("v2/jobs/{id}/events"), &[]);
            let request = match last {
                Some(last) => request.header("last-event-id", u64::to_string(&last)),
                None => request,
            };
            let error = match self.send(request.header(header::ACCEPT, "text/event-stream"), ()) {
                Ok(response) => {
                    let (before, began) = (last, Instant::now());
                    let ended = self.listen(response, &mut last, tell)?;
                    if last != before || began.elapsed() > GOOD_AFTER {
                        patience.refill();
                    }
                    match ended {
                        Ended::Job(job) => return Ok(*job),
                        Ended::Silence => return Ok(self.job(id)?),
                        Ended::Early(error) => error,
                    }
                }
                Err(error) => error,
            };
            patience.after(error)?;
        }
    }

    fn listen(
        &self,
        response: Response<Body>,
        last: &mut Option<u64>,
        tell: &mut dyn FnMut(&Told) -> anyhow::Result<()>,
    ) -> anyhow::Result<Ended> {
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(Ended::Silence);
        }
        let mut reader = BufReader::new(response.into_body().into_reader());
        loop {
            let event = match next_event(&mut reader) {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(Ended::Early(self.cut(&"the server ended it"))),
                Err(error) => return Ok(Ended::Early(self.cut(&error))),
            };
            *last = event.id.or(*last);
            let mut told: Told = serde_json::from_str(&event.data).map_err(|error| self.strange(error))?;
            told.event = event.name;
            tell(&told)?;
            // Earlier events carry the job as it was when they were sent: its end may stand in them too.
            if told.job.state.is_terminal() && matches!(told.event.as_str(), "state" | "snapshot") {
                return Ok(Ended::Job(Box::new(told.job)));
            }
        }
    }
}

/// One event of a stream.
#[derive(Debug, Default, PartialEq)]
struct Event {
    id: Option<u64>,
    name: String,
    data: String,
}

/// The next event; none at the end of the stream, where what is incomplete counts as nothing. Comments and `retry`
/// are passed over. Source: HTML, 9.2.6 (interpreting an event stream).
fn next_event(reader: &mut impl BufRead) -> io::Result<Option<Event>> {
    let (mut event, mut line) = (Event::default(), String::new());
    loop {
        line.clear();
        reader.by_ref().take(MAX_LINE_BYTES).read_line(&mut line)?;
        let Some(text) = line.strip_suffix('\n') else { return Ok(None) };
        let text = text.strip_suffix('\r').unwrap_or(text);
        if text.is_empty() {
            if event.data.is_empty() {
                event = Event::default();
                continue;
            }
            return Ok(Some(event));
        }
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => event.id = value.parse().ok(),
            "event" => value.clone_into(&mut event.name),
            "data" => {
                if !event.data.is_empty() {
                    event.data.push('\n');
                }
                event.data.push_str(value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(mut text: &[u8]) -> Vec<Event> {
        std::iter::from_fn(|| next_event(&mut text).unwrap()).collect()
    }

    fn event(id: Option<u64>, name: &str, data: &str) -> Event {
        Event { id, name: name.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn events_are_taken_apart_and_comments_passed_over() {
        let text =
            b"retry: 2000\n\n: still here\n\nid: 7\nevent: state\ndata: {}\n\ndata:a\r\ndata: b\r\n\r\n";
        assert_eq!(events(text), [event(Some(7), "state", "{}"), event(None, "", "a\nb")]);
    }

    #[test]
    fn an_event_that_breaks_off_is_none() {
        for text in ["id: 1\nevent: state\ndata: {}\n", "id: 1\ndata: {", "id: 1", ""] {
            assert_eq!(events(text.as_bytes()), [], "{text}");
        }
    }
}
