//! Where tasks wait: a line for each class (of spans and merges: and fingerprint), in it one for each tenant.
//!
//! Between tenants by virtual time, which advances by the audio that they were given; inside a tenant first come,
//! first served. After start-time fair queueing (Goyal, Vin and Cheng, 1996).

use std::collections::{BTreeMap, HashMap};

use crate::ids::Tenant;
use crate::queue::{TaskId, TaskKind};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Line {
    pub(super) kind: TaskKind,
    /// Of spans and merges; of others empty.
    pub(super) fingerprint: String,
}

impl Line {
    /// The line of a kind of task, for workers with `fingerprint`.
    pub(super) fn of(kind: TaskKind, fingerprint: &str) -> Self {
        let mut line = Self { kind, fingerprint: String::new() };
        if line.has_fingerprint() {
            fingerprint.clone_into(&mut line.fingerprint);
        }
        line
    }

    pub(super) fn has_fingerprint(&self) -> bool {
        matches!(self.kind, TaskKind::Merge | TaskKind::Span)
    }
}

#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Never an empty line or tenant.
    waiting: HashMap<Line, BTreeMap<Tenant, BTreeMap<i64, TaskId>>>,
    times: HashMap<Tenant, u64>,
    /// The highest time at which anyone was served.
    time: u64,
    head: i64,
    tail: i64,
    /// When a line with a fingerprint was last empty, or asked for by a claimant.
    seen: HashMap<Line, u64>,
}

impl Lines {
    /// Puts a task into its line; gives its place there.
    pub(super) fn wait(
        &mut self,
        now_ms: u64,
        task: TaskId,
        line: &Line,
        tenant: &Tenant,
        at_head: bool,
    ) -> i64 {
        if self.is_empty(line) {
            self.seen.insert(line.clone(), now_ms);
        }
        let place = if at_head {
            self.head -= 1;
            self.head
        } else {
            self.tail += 1;
            self.tail
        };
        let tenants = self.waiting.entry(line.clone()).or_default();
        tenants.entry(tenant.clone()).or_default().insert(place, task);
        place
    }

    pub(super) fn leave(&mut self, line: &Line, tenant: &Tenant, place: i64) {
        let Some(tenants) = self.waiting.get_mut(line) else { return };
        if let Some(tasks) = tenants.get_mut(tenant) {
            tasks.remove(&place);
            if tasks.is_empty() {
                tenants.remove(tenant);
            }
        }
        if tenants.is_empty() {
            self.waiting.remove(line);
        }
    }

    /// The task whose turn it is.
    pub(super) fn next(&self, line: &Line) -> Option<TaskId> {
        let tenants = self.waiting.get(line)?;
        let (_, tasks) = tenants.iter().min_by_key(|(tenant, _)| (self.time_of(tenant), *tenant))?;
        tasks.values().next().copied()
    }

    /// A tenant brings a first task. If nothing of its waited, it has no claim to the time before.
    pub(super) fn enter(&mut self, tenant: &Tenant) {
        let waits =
            |kind| self.waiting.get(&Line::of(kind, "")).is_some_and(|line| line.contains_key(tenant));
        if !waits(TaskKind::Plan) && !waits(TaskKind::Derive) {
            self.times.insert(tenant.clone(), self.time.max(self.time_of(tenant)));
        }
    }

    /// A tenant is given work of this size.
    pub(super) fn charge(&mut self, tenant: &Tenant, cost_ms: u64) {
        let time = self.time_of(tenant);
        self.time = self.time.max(time);
        self.times.insert(tenant.clone(), time + cost_ms.max(1));
    }

    pub(super) fn is_empty(&self, line: &Line) -> bool {
        !self.waiting.contains_key(line)
    }

    /// Somebody would take tasks of this line.
    pub(super) fn see(&mut self, now_ms: u64, line: &Line) {
        if !self.is_empty(line) {
            self.seen.insert(line.clone(), now_ms);
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.waiting.values().flat_map(BTreeMap::values).map(|tasks| tasks.len() as u64).sum()
    }

    pub(super) fn len_of(&self, line: &Line) -> u64 {
        self.waiting.get(line).into_iter().flat_map(BTreeMap::values).map(|tasks| tasks.len() as u64).sum()
    }

    /// Tasks of lines with a fingerprint that nobody has asked for since `since_ms`, each line in its order.
    pub(super) fn orphans(&self, since_ms: Option<u64>) -> Vec<TaskId> {
        let Some(since_ms) = since_ms else { return Vec::new() };
        let lines = self.waiting.iter().filter(|(line, _)| {
            line.has_fingerprint() && self.seen.get(line).is_none_or(|seen| *seen <= since_ms)
        });
        lines.flat_map(|(_, tenants)| tenants.values()).flat_map(BTreeMap::values).copied().collect()
    }

    fn time_of(&self, tenant: &Tenant) -> u64 {
        self.times.get(tenant).copied().unwrap_or(0)
    }
}
