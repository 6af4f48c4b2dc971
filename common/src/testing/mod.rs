//! Real servers that tests start themselves: `eval "$(scripts/servers.sh)"` says where their programs are.
#![expect(clippy::unwrap_used, reason = "a server that cannot be started is a failed test")]

pub mod seaweed;
pub mod valkey;
