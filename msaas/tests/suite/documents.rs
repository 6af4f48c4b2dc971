//! What `docs/operating.md` says of settings and figures.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use common::telemetry::figures::{FIGURES, Figure};

use crate::support::run;

/// Flag, variable and default of every setting, as rows of a table.
fn settings() -> BTreeSet<String> {
    let ran = run(Command::new(env!("CARGO_BIN_EXE_msaas")).args(["serve", "--help"]));
    ran.succeeds();
    let mut rows = BTreeSet::new();
    for setting in ran.stdout.split("\n      --").skip(1) {
        // However wide the terminal is.
        let setting = setting.split_whitespace().collect::<Vec<_>>().join(" ");
        let flag = setting.split(' ').next().unwrap_or_default();
        let value = |name: &str| {
            let value = setting.split_once(&format!("[{name}: "))?.1;
            Some(format!("`{}` ", value.split_once(']')?.0.split('=').next()?))
        };
        let (variable, default) = (value("env"), value("default"));
        rows.insert(format!(
            "| `--{flag}` | {}| {}|",
            variable.unwrap_or_default(),
            default.unwrap_or_default()
        ));
    }
    rows
}

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating.md");
    std::fs::read_to_string(path).expect("the document")
}

#[test]
fn the_table_of_figures_is_that_of_the_programs() {
    let row = |figure: &Figure| {
        let of = match figure.of {
            [role] => format!("`{role}`"),
            _ => "both".to_owned(),
        };
        format!("| `{}` | {of} | {} |", figure.name, figure.about)
    };
    let text = document();
    let told: Vec<&str> = text.lines().filter(|line| line.starts_with("| `msaas_")).collect();
    assert_eq!(told, FIGURES.iter().map(row).collect::<Vec<_>>());
}

#[test]
fn a_variable_that_is_empty_counts_as_not_set() {
    let variables = settings().into_iter().filter_map(|row| Some(row.split('`').nth(3)?.to_owned()));
    let variables: Vec<_> = variables.filter(|name| name.contains('_')).collect();
    assert!(variables.len() > 50 && variables.iter().any(|name| name == "PUBLIC_URL"), "{variables:?}");
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = Command::new(env!("CARGO_BIN_EXE_msaas"));
    // The first thing that is wrong is a file that is not there: everything before it was understood.
    serve.args(["serve", "--no-worker", "--key-file", "/nowhere/keys"]).current_dir(folder.path());
    let ran = run(serve.envs(variables.iter().map(|name| (name, ""))));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("/nowhere/keys"), "{ran:?}");
}

#[test]
fn the_table_of_settings_is_that_of_the_program() {
    let text = document();
    let told: BTreeSet<String> = text
        .lines()
        .filter(|line| line.starts_with("| `--"))
        .map(|line| line.match_indices('|').nth(3).map_or(line, |(end, _)| &line[..=end]).to_owned())
        .collect();
    let settings = settings();
    assert!(settings.len() > 50, "{settings:?}");
    let (missing, wrong): (Vec<_>, Vec<_>) =
        (settings.difference(&told).collect(), told.difference(&settings).collect());
    assert!(missing.is_empty() && wrong.is_empty(), "not told: {missing:#?}\nnot so: {wrong:#?}");
}
