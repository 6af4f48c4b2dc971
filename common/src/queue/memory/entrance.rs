//! The list through which everything enters, and the entries in it that are not ours.

use std::collections::{BTreeSet, VecDeque};

use crate::queue::{TaskId, limits};

#[derive(Debug, Default)]
pub(super) struct Entrance {
    entries: VecDeque<String>,
    foreign: VecDeque<String>,
    /// Foreign ones in flight, with the end of their lease.
    taken: BTreeSet<(u64, String)>,
}

impl Entrance {
    pub(super) fn push(&mut self, entry: String) {
        self.entries.push_back(entry);
    }

    pub(super) fn has(&self, task: TaskId) -> bool {
        let text = task.to_string();
        self.entries.contains(&text)
    }

    /// Whether nothing stands before it.
    pub(super) fn is_first(&self, task: TaskId) -> bool {
        self.entries.front().is_some_and(|entry| *entry == task.to_string())
    }

    pub(super) fn remove(&mut self, task: TaskId) {
        let text = task.to_string();
        self.entries.retain(|entry| *entry != text);
    }

    pub(super) fn keep_foreign(&mut self) {
        self.entries.retain(|entry| entry.parse::<TaskId>().is_err());
    }

    /// Takes the first entries; gives those that are tasks.
    pub(super) fn drain(&mut self) -> Vec<TaskId> {
        let mut tasks = Vec::new();
        for entry in self.entries.drain(..limits::DRAIN.min(self.entries.len())) {
            match entry.parse() {
                Ok(task) => tasks.push(task),
                Err(_) => self.foreign.push_back(entry),
            }
        }
        tasks
    }

    /// A foreign entry that was not settled in time, otherwise a new one. Equal ones come one after the other.
    pub(super) fn next_foreign(&mut self, now_ms: u64, until_ms: u64) -> Option<String> {
        let entry = if self.taken.first().is_some_and(|(until, _)| *until <= now_ms) {
            self.taken.pop_first()?.1
        } else {
            let free = |entry: &String| !self.taken.iter().any(|(_, taken)| taken == entry);
            let at = self.foreign.iter().take(limits::FOREIGN).position(free)?;
            self.foreign.remove(at)?
        };
        self.taken.insert((until_ms, entry.clone()));
        Some(entry)
    }

    pub(super) fn settle_foreign(&mut self, entry: &str) {
        self.taken.retain(|(_, taken)| taken != entry);
    }

    pub(super) fn len(&self) -> u64 {
        (self.entries.len() + self.foreign.len() + self.taken.len()) as u64
    }
}
