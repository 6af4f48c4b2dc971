//! The editor's contract as a document of its own, and whether an answer is what it says.

use std::sync::LazyLock;

use jsonschema::Draft;
use serde_json::{Value, json};

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("contract.json")).expect("JSON"));

/// Checks that the contract names this answer to this request, and that its body is as it says.
#[track_caller]
pub(crate) fn holds(method: &str, path: &str, status: u16, media_type: &str, body: &[u8]) {
    let body: Value = serde_json::from_slice(body).unwrap_or_else(|_| panic!("{method} {path}: no JSON"));
    let operation =
        operation(method, path).unwrap_or_else(|| panic!("{method} {path} is not in the contract"));
    let answer = &operation["responses"][status.to_string()];
    assert!(answer.is_object(), "{method} {path}: the contract has no {status}, {body}");
    let schema = &answer["content"][media_type]["schema"];
    assert!(schema.is_object(), "{method} {path}: the contract has no {media_type}");
    // OpenAPI 3.0 has the schemas of draft 4, as far as they are used here.
    let whole = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
    let validator = jsonschema::options().with_draft(Draft::Draft4).build(&whole).expect("a schema");
    let faults: Vec<String> = validator.iter_errors(&body).map(|error| error.to_string()).collect();
    assert!(faults.is_empty(), "{method} {path} {status}: {faults:?} in {body}");
}

/// The operation of the document that a request is.
fn operation(method: &str, path: &str) -> Option<&'static Value> {
    let fits = |template: &str| {
        let (ours, theirs): (Vec<&str>, Vec<&str>) =
            (template.split('/').collect(), path.split('/').collect());
        ours.len() == theirs.len()
            && ours.iter().zip(&theirs).all(|(ours, theirs)| ours.starts_with('{') || ours == theirs)
    };
    let (_, methods) = DOCUMENT["paths"].as_object()?.iter().find(|(template, _)| fits(template))?;
    methods.get(method.to_lowercase())
}
