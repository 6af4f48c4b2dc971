//! A place for one test, and the program run in it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::network::{Network, write_weights};

/// Folders for one test: an installed network called `small`, results, temporary files.
pub(crate) struct Place {
    root: TempDir,
}

impl Place {
    /// A place with a network, which is installed by the program itself.
    pub(crate) fn new(network: Network) -> Self {
        let place = Self { root: tempfile::tempdir().expect("a temporary folder") };
        std::fs::create_dir(place.path("temp")).expect("made");
        let weights = place.path("weights.safetensors");
        write_weights(network, &weights);
        let mut import = place.msaas();
        run(import.args(["models", "import", "--name", "small"]).arg(&weights)).succeeds();
        std::fs::remove_file(weights).expect("removed");
        place
    }

    /// A path in the place.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.path().join(name)
    }

    /// Where a stem is expected.
    pub(crate) fn stem(&self, song: &str, file: &str) -> PathBuf {
        self.path("out/small").join(song).join(file)
    }

    /// The program, which sees nothing of the settings and the installed networks of whoever runs the tests.
    pub(crate) fn msaas(&self) -> Command {
        self.prepare(Command::new(env!("CARGO_BIN_EXE_msaas")))
    }

    /// The program as the last words of a shell script, which gets its arguments as `"$@"`.
    pub(crate) fn msaas_under(&self, script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script, env!("CARGO_BIN_EXE_msaas")]);
        self.prepare(shell)
    }

    /// `msaas separate` into the folder `out` with the arguments.
    pub(crate) fn separate<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.msaas();
        command.arg("separate").args(args);
        command
    }

    /// Everything in the place apart from the network, hidden files included, with sizes.
    pub(crate) fn content(&self) -> BTreeMap<PathBuf, u64> {
        let mut found = tree(self.root.path());
        found.retain(|path, _| !path.starts_with("models"));
        found
    }

    /// Gives any program the place's settings and no others.
    pub(crate) fn prepare(&self, mut command: Command) -> Command {
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("HOME", self.root.path())
            .env("TMPDIR", self.path("temp"))
            .env("MSAAS_MODEL_DIR", self.path("models"))
            .env("MSAAS_MODEL", "small")
            .env("MSAAS_OUT", self.path("out"))
            .env("MSAAS_OFFLINE", "true")
            .current_dir(self.root.path());
        command
    }
}

/// Files with their sizes and folders (0) below a folder, by their path in it.
pub(crate) fn tree(root: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).expect("a folder") {
            let entry = entry.expect("an entry");
            let meta = entry.metadata().expect("its kind");
            let name = entry.path().strip_prefix(root).expect("inside").to_path_buf();
            found.insert(name, if meta.is_dir() { 0 } else { meta.len() });
            if meta.is_dir() {
                open.push(entry.path());
            }
        }
    }
    found
}

/// What a run of the program gave.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs to the end.
pub(crate) fn run(command: &mut Command) -> Ran {
    ran(command.output().expect("the program starts"))
}

pub(crate) fn ran(output: Output) -> Ran {
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("utf-8"),
        stderr: String::from_utf8(output.stderr).expect("utf-8"),
    }
}

impl Ran {
    /// Gives the lines of standard output of a run that went well.
    #[track_caller]
    pub(crate) fn succeeds(&self) -> Vec<&str> {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout.lines().collect()
    }

    /// Checks that the run failed with these sentences on standard error and nothing on standard output.
    #[track_caller]
    pub(crate) fn fails_with(&self, code: i32, sentences: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stderr.lines().collect::<Vec<_>>(), sentences);
        assert_eq!(self.stdout, "");
    }

    /// Checks that the run failed with one sentence on standard error, which has these words, and nothing else.
    #[track_caller]
    pub(crate) fn fails_saying(&self, words: &[&str]) {
        assert_eq!((self.code, &*self.stdout), (Some(1), ""), "{self:?}");
        let sentence = self.stderr.trim_end();
        assert!(sentence.starts_with("msaas: ") && !sentence.contains('\n'), "{sentence}");
        assert!(words.iter().all(|word| sentence.contains(word)), "{sentence}");
    }
}
