//! Variables of containers, and what the programs make of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::told::{Container, containers, file};

/// Variables that the chart sets from values of its own, or leaves as the images have them.
const MADE: [&str; 34] = [
    "MINIO_ACCESS_KEY",
    "MINIO_HOST",
    "MINIO_PORT",
    "MINIO_SECRET_KEY",
    "MSAAS_ADDRESS",
    "MSAAS_ADMIN_PORT",
    "MSAAS_API_KEYS",
    "MSAAS_API_KEY_FILE",
    "MSAAS_AUTH",
    "MSAAS_AUTH_OLD",
    "MSAAS_CALLBACK_SECRET",
    "MSAAS_GRPC_PORT",
    "MSAAS_GRPC_TLS_CERT",
    "MSAAS_GRPC_TLS_KEY",
    "MSAAS_LINGER",
    "MSAAS_LOG_FORMAT",
    "MSAAS_MODEL",
    "MSAAS_MODELS",
    "MSAAS_MODEL_DIR",
    "MSAAS_MODEL_SOURCE",
    "MSAAS_OFFLINE",
    "MSAAS_OUTPUT_BUCKET",
    "MSAAS_PORT",
    "MSAAS_QUEUE_BUCKET",
    "MSAAS_S3_ENDPOINT",
    "MSAAS_S3_PUBLIC_ENDPOINT",
    "MSAAS_S3_REGION",
    "MSAAS_SHUTDOWN",
    "MSAAS_SIMULATE_CRASH_AFTER",
    "MSAAS_STORE_DIR",
    "MSAAS_TEMP_BYTES",
    "MSAAS_TEMP_DIR",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "PUBLIC_URL",
];

/// Variables that the help of a command names.
fn variables(command: &[String]) -> BTreeSet<String> {
    let said = Command::new(&command[0]).args(&command[1..]).arg("--help").output().unwrap();
    assert!(said.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said.stderr));
    // However wide the terminal is.
    let text = String::from_utf8(said.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    let names = text.split("[env: ").skip(1).map(|rest| rest.split(['=', ']']).next().unwrap());
    names.map(|name| name.trim().to_owned()).collect()
}

/// Those of a program and of the command within it.
fn known(container: &Container) -> BTreeSet<String> {
    let command = container.built();
    let words = command.iter().take_while(|word| !word.starts_with('-')).count();
    let within = if container.program() == "msaas" { 2..=words } else { 1..=1 };
    within.flat_map(|count| variables(&command[..count])).collect()
}

#[test]
fn every_variable_of_a_container_is_a_setting_of_its_program() {
    for (name, container) in containers() {
        if container.command[0].starts_with("/bin/") {
            let known = known(&container);
            for variable in container.env.keys() {
                assert!(known.contains(variable), "{name}: {variable} means nothing to it");
            }
        }
    }
}

#[test]
fn every_setting_is_one_of_the_charts_or_can_be_set_in_it_by_name() {
    let schema = std::fs::read_to_string(file("helm/music-separation/values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let names = |part: &Value| -> BTreeSet<String> {
        part["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let shared = names(&schema["properties"]["settings"]);
    for program in ["rest", "worker"] {
        let path = Path::new(env!("CARGO_BIN_EXE_worker")).with_file_name(program);
        let known = variables(&[path.display().to_string()]);
        let own = names(&schema["properties"][program]["properties"]["settings"]);
        let by_name: BTreeSet<_> = own.union(&shared).cloned().collect();
        let unknown: Vec<_> = by_name.difference(&known).collect();
        assert!(unknown.is_empty(), "{program} does not know {unknown:?}");
        let made = |name: &String| MADE.contains(&name.as_str()) || name.starts_with("REDIS_");
        let missing: Vec<_> = known.difference(&by_name).filter(|name| !made(name)).collect();
        assert!(missing.is_empty(), "the chart cannot set {missing:?} of {program}");
    }
}

#[test]
fn every_container_takes_its_settings() {
    for (name, container) in containers() {
        if !container.command[0].starts_with("/bin/") {
            continue;
        }
        let command = container.built();
        let mut env = container.env.clone();
        // All is read before anything is looked for, and nothing can be found.
        env.insert("REDIS_URL".to_owned(), "nowhere".to_owned());
        env.insert("MSAAS_SERVER".to_owned(), "http://127.0.0.1:1".to_owned());
        env.insert("MSAAS_OFFLINE".to_owned(), "true".to_owned());
        env.insert("MSAAS_MODEL_DIR".to_owned(), std::env::temp_dir().join("none").display().to_string());
        env.insert("MSAAS_ADMIN_PORT".to_owned(), "0".to_owned());
        let clip = file("helm/music-separation/files/clip.mp3").display().to_string();
        let words = command[1..].iter().map(|word| word.replace("/clip/clip.mp3", &clip));
        let said = Command::new(&command[0]).args(words).env_clear().envs(&env).output().unwrap();
        let why = String::from_utf8_lossy(&said.stderr);
        // 2 is wrong usage.
        assert_eq!(said.status.code(), Some(1), "{name}: {why}");
        let expected = match (container.program(), command[1..].first().map(String::as_str)) {
            ("rest" | "worker", _) => "the address of Redis",
            (_, Some("logs")) => "Redis URL",
            (_, Some("models")) => "installed",
            _ => "127.0.0.1:1",
        };
        assert!(why.contains(expected), "{name}: {why}");
    }
}
