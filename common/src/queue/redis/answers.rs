//! What the scripts answer, read into the queue's types.

use crate::ids::JobId;
use crate::queue::{
    Claim, Dead, Event, Fence, Happening, Held, QueueError, Result, Seen, State, Status, Submitted, TaskId,
};

pub(super) fn strange(what: impl std::fmt::Display) -> QueueError {
    QueueError::Strange(what.to_string())
}

/// Parses any text of an answer.
pub(super) fn parse<T: std::str::FromStr>(text: &str) -> Result<T> {
    text.parse()
        .map_err(|_| strange(format_args!("{text:?} where a {} is expected", std::any::type_name::<T>())))
}

pub(super) fn state(text: &str) -> Result<State> {
    match text {
        "queued" => Ok(State::Queued),
        "running" => Ok(State::Running),
        "succeeded" => Ok(State::Succeeded),
        "failed" => Ok(State::Failed),
        "canceled" => Ok(State::Canceled),
        other => Err(strange(format_args!("the state {other:?}"))),
    }
}

pub(super) fn submitted(text: &str) -> Result<Submitted> {
    match text {
        "accepted" => Ok(Submitted::Accepted),
        "tenant_full" => Ok(Submitted::TenantFull),
        "full" => Ok(Submitted::Full),
        "stale" => Ok(Submitted::Stale),
        known => Ok(Submitted::Known(state(known)?)),
    }
}

pub(super) fn fence(text: &str) -> Result<Fence> {
    match text {
        "held" => Ok(Fence::Held),
        "lost" => Ok(Fence::Lost),
        "canceled" => Ok(Fence::Canceled),
        other => Err(strange(format_args!("{other:?} to a worker"))),
    }
}

pub(super) fn claim(fields: Vec<String>, max_attempts: u32) -> Result<Claim> {
    let [task, attempt, tenant, song, payload, part, spans] = fixed(fields)?;
    let attempt = parse(&attempt)?;
    Ok(Claim {
        task: parse(&task)?,
        attempt,
        last: attempt >= max_attempts,
        tenant: parse(&tenant)?,
        song: parse(&song)?,
        payload,
        part,
        spans: parse(&spans)?,
    })
}

pub(super) fn status(id: JobId, fields: Vec<String>) -> Result<Status> {
    let [tenant, song, now, done, total, permille, entered, began, ended, reason, events, ahead] =
        fixed(fields)?;
    Ok(Status {
        id,
        tenant: parse(&tenant)?,
        song: parse(&song)?,
        state: state(&now)?,
        units: (units(&done)?, units(&total)?),
        permille: parse(&permille)?,
        ahead: parse(&ahead)?,
        times_ms: [parse(&entered)?, parse(&began)?, parse(&ended)?],
        reason,
        last_event: parse(&events)?,
    })
}

/// Numbers and happenings, from the number of the first one and the lines after it.
pub(super) fn events(lines: &[String]) -> Result<Vec<Event>> {
    let Some((first, lines)) = lines.split_first() else { return Ok(Vec::new()) };
    let first: u64 = parse(first)?;
    (first..).zip(lines).map(|(number, line)| Ok(Event { number, what: happening(line)? })).collect()
}

fn happening(line: &str) -> Result<Happening> {
    match *line.split(' ').collect::<Vec<_>>() {
        ["state", now] => Ok(Happening::State { state: state(now)? }),
        ["progress", permille, done, total] => {
            Ok(Happening::Progress { permille: parse(permille)?, units: (units(done)?, units(total)?) })
        }
        ["stem", stem] => Ok(Happening::Stem { stem: parse(stem)? }),
        _ => Err(strange(format_args!("the event {line:?}"))),
    }
}

/// A worker, and what it holds if there is more than its name and its silence.
pub(super) fn seen(mut fields: Vec<String>) -> Result<Seen> {
    let held = fields.split_off(fields.len().min(2));
    let [worker, silent] = fixed(fields)?;
    let task = if held.is_empty() { None } else { Some(self::held(held)?) };
    Ok(Seen { worker, silent_ms: parse(&silent)?, task })
}

fn held(fields: Vec<String>) -> Result<Held> {
    let [id, attempt, tenant, song, held, left, before] = fixed(fields)?;
    let task: TaskId = parse(&id)?;
    Ok(Held {
        id,
        job: task.job,
        kind: task.kind,
        tenant: parse(&tenant)?,
        song: parse(&song)?,
        attempt: parse(&attempt)?,
        held_ms: parse(&held)?,
        left_ms: parse(&left)?,
        before: Some(before).filter(|before| !before.is_empty()),
    })
}

pub(super) fn dead(entry: &str) -> Result<Dead> {
    serde_json::from_str(entry).map_err(|error| strange(format_args!("{entry:?} on the dead list: {error}")))
}

fn units(text: &str) -> Result<u32> {
    Ok(u32::try_from(parse::<u64>(text)?).unwrap_or(u32::MAX))
}

fn fixed<const N: usize>(fields: Vec<String>) -> Result<[String; N]> {
    fields
        .try_into()
        .map_err(|fields: Vec<_>| strange(format_args!("{} fields instead of {N}", fields.len())))
}
