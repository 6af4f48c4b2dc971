//! The scripts, made ready: the bounds that Rust knows, the prelude, the command.

use redis::Script;

use crate::queue::limits;

/// Sleepers that one change wakes at most, and the length of the doorbell list.
const BELLS: usize = 64;
const PRELUDE: &str = include_str!("../scripts/prelude.lua");

/// Declares one field for each script, read from the file of the same name.
macro_rules! scripts {
    ($($name:ident)*) => {
        #[derive(Debug)]
        pub(super) struct Scripts {
            $(pub(super) $name: Script,)*
        }

        impl Scripts {
            /// All scripts, `alter` having the last word on their text.
            pub(super) fn new(alter: &dyn Fn(&str, String) -> String) -> Self {
                Self {
                    $($name: ready(stringify!($name), include_str!(concat!("../scripts/", stringify!($name), ".lua")), alter),)*
                }
            }
        }
    };
}
scripts! {
    submit claim progress stem complete fail release reap cancel forget reset
    status unfinished events depth workers dead bury next_foreign
}

fn ready(name: &str, command: &str, alter: &dyn Fn(&str, String) -> String) -> Script {
    let bounds = [
        ("BELLS", BELLS),
        ("EVENTS", limits::EVENTS),
        ("DEAD", limits::DEAD),
        ("DRAIN", limits::DRAIN),
        ("REAP", limits::REAP),
        ("REPLAN", limits::REPLAN),
        ("FOREIGN", limits::FOREIGN),
    ];
    let bounds = bounds.map(|(name, bound)| format!("local {name} = {bound}\n")).concat();
    Script::new(&alter(name, format!("{bounds}{PRELUDE}{command}")))
}
