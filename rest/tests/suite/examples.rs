//! The examples of `docs/api.md`, run by a shell against a server with sockets.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use common::admin::Health as _;
use serde_json::Value;

use crate::links::other_side;
use crate::support::{Server, tagged};

fn document(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)).unwrap()
}

/// A block of a document that is run, and what its output has to contain.
struct Example<'a> {
    command: &'a str,
    expected: Vec<&'a str>,
}

fn examples(text: &str) -> Vec<Example<'_>> {
    let mut examples: Vec<Example> = Vec::new();
    for block in text.split("\n```").collect::<Vec<_>>().chunks(2).filter_map(|pair| pair.get(1)) {
        match block.split_once('\n').unwrap() {
            ("sh", command) => examples.push(Example { command, expected: Vec::new() }),
            ("text", output) => examples.last_mut().unwrap().expected = output.lines().collect(),
            (kind, _) => panic!("a block of {kind}"),
        }
    }
    examples
}

/// Runs all of them one after the other in one shell; a line of `=== number` follows the output of each.
fn run(examples: &[Example<'_>], port: u16, folder: PathBuf) -> impl Future<Output = Output> + use<> {
    let mut script = String::new();
    for (number, example) in examples.iter().enumerate() {
        let command = example.command.replace("localhost:5000", &format!("127.0.0.1:{port}"));
        writeln!(script, "{command}\nprintf '\\n=== {number}\\n'").unwrap();
    }
    let shell = tokio::task::spawn_blocking(move || {
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail", "-c", &script]).current_dir(folder).output().unwrap()
    });
    async { shell.await.unwrap() }
}

#[tokio::test]
async fn every_example_does_what_the_document_says() {
    let figures = common::telemetry::figures::start("rest").unwrap();
    let (text, folder) = (document("api.md"), tempfile::tempdir().unwrap());
    let server = Server::with(&["--links"]);
    server.network.know("songs.example", &[&["93.184.216.34"]]);
    server.network.lead_to(other_side().await);
    std::fs::write(folder.path().join("song.mp3"), tagged("Under Water", "The Fish")).unwrap();
    let port = server.listen().await.port();
    let examples = examples(&text);
    assert!(examples.len() > 10);
    let (ran, ()) = tokio::join!(run(&examples, port, folder.path().to_owned()), async {
        // The first job is separated, the others wait.
        while server.work().await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(ran.status.success(), "{ran:?}");
    let mut output = std::str::from_utf8(&ran.stdout).unwrap();
    for (number, Example { command, expected }) in examples.iter().enumerate() {
        let (own, rest) = output.split_once(&format!("\n=== {number}\n")).unwrap();
        for part in expected {
            assert!(own.contains(part), "{part} is not in the output of\n{command}\n{own}");
        }
        output = rest;
    }
    says_all_that_is_served(&text, &server.get("/openapi.json").await.json());
    rest::background::Ready(server.app.clone()).ready().await.unwrap();
    names_all_figures(&document("operating.md"), &figures.render());
}

/// Every path, option and code of the service's own document stands in this one.
fn says_all_that_is_served(text: &str, document: &Value) {
    for path in document["paths"].as_object().unwrap().keys() {
        assert!(
            text.contains(&format!("{path}`")) || text.contains(&format!("{path}?")),
            "{path} is missing"
        );
    }
    let parameters = document.pointer("/paths/~1v2~1jobs/post/parameters").unwrap();
    for parameter in parameters.as_array().unwrap() {
        let name = parameter["name"].as_str().unwrap();
        assert!(text.contains(&format!("`{name}")), "the option {name} is missing");
    }
    let codes = document.pointer("/components/schemas/Problem/properties/code/enum").unwrap();
    for code in codes.as_array().unwrap() {
        let code = code.as_str().unwrap();
        assert!(text.contains(&format!("`{code}`")), "the code {code} is missing");
    }
}

fn names_all_figures(text: &str, figures: &str) {
    let types = figures.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let names: BTreeSet<&str> = types.collect();
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        assert!(text.contains(&format!("`{name}`")), "docs/operating.md does not name {name}");
    }
}
