//! The `OpenAPI` 3.1 document, made from the table of routes, and a page for it that loads nothing.

mod schemas;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::asked::NAMES;
use crate::error::{Code, Dialect};
use crate::routes::{Answer, Entry, Param, entries};

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for entry in entries() {
        let path = paths.entry(entry.path).or_insert_with(|| json!({}));
        path[entry.method.as_str().to_ascii_lowercase()] = operation(&entry);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Music separation",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Separates songs into stems. Errors are problem documents (RFC 9457) with a stable code; \
                those of /apiv1 are {\"error\": \"...\"}, those of the editor's routes a sentence.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": schemas::schemas(),
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
        },
        "security": [{}, { "key": [] }],
    })
}

fn operation(entry: &Entry) -> Value {
    let mut parameters: Vec<Value> = in_path(entry.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    let text = |place: &str, name: &str, about: &str| json!({ "name": name, "in": place, "description": about, "schema": { "type": "string" } });
    for param in entry.params {
        match param {
            Param::Query(name, about) => parameters.push(text("query", name, about)),
            Param::Header(name, about) => parameters.push(text("header", name, about)),
            Param::Options => parameters.extend(NAMES.iter().map(|(name, about)| text("query", name, about))),
        }
    }
    let mut operation = json!({
        "operationId": entry.id,
        "summary": entry.summary,
        "parameters": parameters,
        "responses": responses(entry),
    });
    if !entry.body.is_empty() {
        let content: Map<String, Value> =
            entry.body.iter().map(|(kind, schema)| media(kind, schema)).collect();
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

fn responses(entry: &Entry) -> Value {
    let mut responses = Map::new();
    for Answer(status, about, body) in entry.answers {
        let mut response = json!({ "description": about });
        if let Some((kind, schema)) = body {
            let (kind, content) = media(kind, schema);
            response["content"] = json!({ kind: content });
        }
        responses.insert(status.to_string(), response);
    }
    let dialect = Dialect::of(entry.path);
    let (kind, schema) = match dialect {
        Dialect::Old => ("application/json", "OldError"),
        Dialect::Editor => ("application/json", "Text"),
        Dialect::Problem => ("application/problem+json", "Problem"),
    };
    let (kind, content) = media(kind, schema);
    let mut error = |status: &str, about: &str| {
        responses.insert(status.to_owned(), json!({ "description": about, "content": { &kind: content } }));
    };
    for (status, codes) in errors(entry, dialect) {
        let about = |code: &Code| match dialect {
            Dialect::Old | Dialect::Editor => code.title().to_owned(),
            Dialect::Problem => format!("`{}`: {}", code.as_str(), code.title()),
        };
        error(&status.to_string(), &codes.iter().map(about).collect::<Vec<_>>().join(" "));
    }
    error("default", "A fault of the service.");
    Value::Object(responses)
}

/// What surrounds every handler refuses these.
const EVERYWHERE: [Code; 2] = [Code::Unauthorized, Code::RateLimited];

/// What can go wrong, by the status of the answer.
fn errors(entry: &Entry, dialect: Dialect) -> BTreeMap<u16, Vec<Code>> {
    let mut all: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in entry.errors.iter().chain(&EVERYWHERE) {
        all.entry(dialect.status(*code).as_u16()).or_default().push(*code);
    }
    all
}

fn media(kind: &str, schema: &str) -> (String, Value) {
    (kind.to_owned(), json!({ "schema": { "$ref": format!("#/components/schemas/{schema}") } }))
}

/// Names of a path's variable segments.
fn in_path(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// The page.
#[must_use]
pub fn page() -> String {
    let mut rows = String::new();
    for entry in entries() {
        let answers: Vec<String> = entry
            .answers
            .iter()
            .map(|Answer(status, about, _)| format!("{status} {}", escaped(about)))
            .chain(entry.errors.iter().map(|code| {
                let status = Dialect::of(entry.path).status(*code).as_u16();
                format!("{status} <code>{}</code> {}", code.as_str(), escaped(code.title()))
            }))
            .collect();
        let params: Vec<String> = entry
            .params
            .iter()
            .flat_map(|param| match param {
                Param::Query(name, about) => vec![format!("<code>{name}</code> {}", escaped(about))],
                Param::Header(name, about) => {
                    vec![format!("<code>{name}</code> (header) {}", escaped(about))]
                }
                Param::Options => NAMES
                    .iter()
                    .map(|(name, about)| format!("<code>{name}</code> {}", escaped(about)))
                    .collect(),
            })
            .collect();
        write!(
            rows,
            "<section id=\"{}\"><h2><code>{} {}</code></h2><p>{}</p>",
            entry.id,
            entry.method,
            escaped(entry.path),
            escaped(entry.summary)
        )
        .ok();
        list(&mut rows, &params);
        list(&mut rows, &answers);
        rows.push_str("</section>\n");
    }
    let schemas = serde_json::to_string_pretty(&schemas::schemas()).unwrap_or_default();
    include_str!("page.html").replace("<!--rows-->", &rows).replace("<!--schemas-->", &escaped(&schemas))
}

fn list(rows: &mut String, items: &[String]) {
    if !items.is_empty() {
        write!(rows, "<ul><li>{}</li></ul>", items.join("</li><li>")).ok();
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_has_its_own_name() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in &found {
            assert!(document.pointer(&reference[1..]).is_some(), "{reference}");
        }
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for name in schemas.keys() {
            assert!(found.contains(format!("#/components/schemas/{name}").as_str()), "{name} is not used");
        }
        let names: Vec<&str> = entries().iter().map(|entry| entry.id).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }

    #[test]
    fn the_page_loads_nothing() {
        let page = page();
        for word in ["src=", "<script", "@import", "url(", "<link", "http://", "https://"] {
            assert!(!page.contains(word), "{word}");
        }
    }
}
