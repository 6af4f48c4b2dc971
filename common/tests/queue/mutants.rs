//! Broken scripts are found out: by the checks, and by random commands.

use std::time::Instant;

use common::queue::conformance::CHECKS;
use common::testing::valkey::Server;

use crate::agreement::{Alter, disagreement};
use crate::bench::altered;

/// Sequences within which random commands have to find a mutant.
const SEQUENCES: u32 = 5000;

/// A text that has to be there, replaced in every script that has it.
fn replace(text: &str, from: &str, to: &str, wanted: bool) -> String {
    assert!(!wanted || text.contains(from), "the mutant's text is not in the script: {from}");
    text.replace(from, to)
}

/// Declares mutants: a name, the script whose text has to have the first text ("all": every one), the second text.
macro_rules! mutants {
    ($($name:ident: $script:literal $from:literal => $to:literal)*) => {
        const MUTANTS: &[(&str, Alter)] = &[$((
            stringify!($name),
            |script, text| replace(&text, $from, $to, $script == "all" || $script == script),
        )),*];
    };
}
mutants! {
    the_token_is_not_checked: "all"
        "or task[3] ~= token then return 'lost'" => "then return 'lost'"
    spans_are_counted_and_not_named: "complete"
        "local answer = fence(tid, token, 'c')" =>
        "local its_job, _, _, its_kind = parse(tid)
         if its_kind == 'span' and redis.call('SCARD', key('left', its_job)) > 1 then
           redis.call('SPOP', key('left', its_job)) end
         local answer = fence(tid, token, 'c')"
    leases_never_end: "reap"
        "local expired = due('leases')" => "local expired = {}"
    delayed_tasks_never_wake: "reap"
        "local delayed = due('delayed')" => "local delayed = {}"
    attempts_are_not_counted: "claim"
        "'attempt', 1)" => "'attempt', 0)"
    a_released_attempt_is_counted: "release"
        "'attempt', -1)" => "'attempt', 0)"
    progress_may_go_back: "all"
        "if reached > permille then" => "if reached ~= permille then"
    progress_is_complete_before_the_end: "all"
        "math.min(math.floor(done * 1000 / total), 999)" => "math.floor(done * 1000 / total)"
    a_repeated_claim_is_a_new_one: "claim"
        "if held then return handed(held) end" => ""
    a_repeated_word_is_a_new_one: "all"
        "== word .. token then return 'held' end" => "== word .. token then return 'lost' end"
    a_canceled_job_leaves_its_tasks: "cancel"
        "  destroy_all(job)\n  redis.call('DEL', key('left', job))\n" => ""
    a_canceled_job_answers_as_if_lost: "all"
        "then return 'canceled' end\n  local task" => "then return 'lost' end\n  local task"
    a_word_of_an_earlier_epoch_is_lost: "all"
        "if epoch < EPOCH then return 'canceled' end" => ""
    an_earlier_epoch_still_enters: "submit"
        "if epoch < EPOCH then return 'stale' end" => ""
    a_submission_repeated_is_a_new_job: "submit"
        "  return record[2]\nend" => "end"
    nobody_is_charged: "claim"
        "math.max(tonumber(record[2]), 1))" => "0)"
    idleness_is_saved_up: "claim"
        "local time = math.max(virtual_time(tenant), number(key('meta'), 'time'))" =>
        "local time = virtual_time(tenant)"
    orphans_wait_for_ever: "reap"
        "for i = math.min(#orphans, REPLAN), 1, -1 do" => "for i = 0, 1, -1 do"
    foreign_entries_are_dropped: "claim"
        "redis.call('RPUSH', PREFIX .. 'foreign', entry)" => ""
    who_had_a_task_before_is_forgotten: "claim"
        "'before', before)" => "'before', '')"
    a_worker_is_not_seen_waiting: "claim"
        "if works then" => "if false then"
    a_worker_waits_for_ever: "workers"
        "local since = '(' .. (NOW - LEASE_MS)" => "local since = '-inf'"
    progress_does_not_keep_the_lease: "progress"
        "redis.call('ZADD', key('leases'), 'XX', 'GT', NOW + LEASE_MS, tid)" => ""
    a_failed_notification_fails_its_job: "all"
        "if kind == 'notify' then destroy(tid, job) else finish(job, 'failed', reason) end" =>
        "finish(job, 'failed', reason)"
}

#[tokio::test]
async fn the_checks_find_every_mutant() {
    let server = Server::shared();
    let mut unseen = Vec::new();
    for (name, alter) in MUTANTS {
        let mut found = 0;
        for (_, check) in CHECKS {
            found += u32::from(check(&altered(&server, alter)).await.is_err());
        }
        println!("{name}: {found} of {} checks fail", CHECKS.len());
        if found == 0 {
            unseen.push(name);
        }
    }
    assert!(unseen.is_empty(), "no check fails on {unseen:?}");
}

#[test]
fn random_commands_find_every_mutant() {
    let server = Server::shared();
    let mut unseen = Vec::new();
    for (name, alter) in MUTANTS {
        let begun = Instant::now();
        if disagreement(&server, *alter, SEQUENCES, false).is_none() {
            unseen.push(name);
        }
        println!("{name}: {:?}", begun.elapsed());
    }
    assert!(unseen.is_empty(), "both queues agree although {unseen:?}");
}
