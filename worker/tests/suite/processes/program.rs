//! A program of the service as a process of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A running process, killed when this is dropped.
pub(crate) struct Program {
    child: Child,
}

/// Longest wait for a process that was asked to end.
const PATIENCE: Duration = Duration::from_mins(1);

impl Program {
    /// Starts it; what it logs is appended to a file.
    pub(crate) fn start(program: &Path, arguments: &[String], failpoint: &str, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).env("MSAAS_FAILPOINT", failpoint).env("MSAAS_LOG", "info");
        // By a variable: releases that know no gRPC do not know a flag for it.
        command.env("MSAAS_GRPC_PORT", "0");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Self { child: command.spawn().unwrap() }
    }

    /// Starts what a container would: with these variables and nothing else that is here. What it says goes to a file.
    pub(crate) fn in_container(command: &[String], env: &BTreeMap<String, String>, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut started = Command::new(&command[0]);
        started.args(&command[1..]).env_clear().envs(env).stdin(Stdio::null());
        started.stdout(log.try_clone().unwrap()).stderr(log);
        Self { child: started.spawn().unwrap() }
    }

    /// As `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }

    /// As Kubernetes ends a pod; gives how it ended, none where it did not.
    pub(crate) async fn stop(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::TERM);
        self.ended().await
    }

    /// Lets it run no further for now.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits until it has ended; gives how, none where it does not.
    pub(crate) async fn ended(&mut self) -> Option<ExitStatus> {
        tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .ok()
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(self.child.id() as i32).unwrap();
        // Gone already where this fails.
        kill_process(id, signal).ok();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
