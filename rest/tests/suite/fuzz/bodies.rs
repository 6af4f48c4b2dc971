//! Bodies: as the document names them, of another kind, altered, cut off.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Known;
use super::calls::value;
use super::dice::{Dice, hostile};
use crate::support::{song, tagged};

const KINDS: &[&str] = &[
    "application/json",
    "application/octet-stream",
    "audio/mpeg",
    "multipart/form-data",
    "application/x-www-form-urlencoded",
    "text/plain",
    "audio/",
    "\u{fc}/x",
    "",
];

/// A media type and a body, for the operation `id`, which takes these.
pub(super) fn body(id: &str, kinds: &[String], known: &Known, dice: &mut Dice) -> (String, Vec<u8>) {
    if kinds.is_empty() && dice.percent(90) {
        return (String::new(), Vec::new());
    }
    let named: Vec<&str> = kinds.iter().map(String::as_str).collect();
    let kind = if named.is_empty() || dice.percent(10) { dice.pick(KINDS) } else { dice.pick(&named) };
    // Both that have JSON: the one of the older contract is alone.
    let older = kinds.len() == 1;
    let (sent, mut body) = match if dice.percent(5) { dice.pick(KINDS) } else { kind } {
        "multipart/form-data" => form(known, dice),
        "application/json" if id == "editorProcess" => (kind.to_owned(), tracks(dice).into_bytes()),
        "application/json" if id == "createUpload" => (kind.to_owned(), announced(dice).into_bytes()),
        "application/json" if older => (kind.to_owned(), separate(dice).to_string().into_bytes()),
        "application/json" => (kind.to_owned(), elsewhere(known, dice).to_string().into_bytes()),
        _ => (kind.to_owned(), file(dice)),
    };
    match dice.below(12) {
        0 => body.truncate(dice.below(body.len())),
        1 => (0..4).for_each(|_| alter(&mut body, dice)),
        2 => body.extend(hostile(dice).bytes()),
        _ => {}
    }
    (sent, body)
}

fn announced(dice: &mut Dice) -> String {
    let size = dice.pick(&["null", "70000", "104857600", "9007199254740993", "-1", "\"1\"", "1e3"]);
    if dice.percent(30) { String::new() } else { format!("{{\"size_bytes\": {size}}}") }
}

fn tracks(dice: &mut Dice) -> String {
    let all = [
        "[1, 2]",
        "[4]",
        "[\"vocals\"]",
        "{\"instruments\": [\"bass\"]}",
        "{\"tracks\": [1]}",
        "[7]",
        "[]",
        "{}",
    ];
    dice.pick(&all).to_owned()
}

fn alter(body: &mut [u8], dice: &mut Dice) {
    let at = dice.below(body.len());
    if let Some(byte) = body.get_mut(at) {
        *byte = dice.bytes(1)[0];
    }
}

fn file(dice: &mut Dice) -> Vec<u8> {
    match dice.below(8) {
        0 => Vec::new(),
        1 => {
            let len = dice.below(3000);
            dice.bytes(len)
        }
        2 => tagged(&hostile(dice).chars().take(20).collect::<String>(), "x"),
        3 => b"ID3\x04\0\xff\x7f\x7f\x7f\x7f".repeat(9),
        4 => [b"RIFF\xff\xff\xff\xffWAVEfmt ".as_slice(), &dice.bytes(60)].concat(),
        5 => [b"fLaC\0\0\0\x22".as_slice(), &dice.bytes(400)].concat(),
        _ => song(dice.below(5) as u8),
    }
}

fn form(known: &Known, dice: &mut Dice) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    let mut part = |name: &str, file: &str, bytes: &[u8]| {
        body.extend(format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes());
        body.extend_from_slice(bytes);
        body.extend(b"\r\n");
    };
    for name in ["model", "stems", "shifts", "options", "callback", "what"] {
        if dice.percent(15) {
            part(name, "", value(name, known, dice).as_bytes());
        }
    }
    for _ in 0..dice.pick(&[&1, &1, &1, &1, &0, &2]).to_owned() {
        part("file", &format!("; filename=\"{}\"", hostile(dice).escape_default()), &file(dice));
    }
    if dice.percent(10) {
        part(&hostile(dice), "", &dice.bytes(9));
    }
    body.extend(b"--x--\r\n");
    let boundary = if dice.percent(5) { hostile(dice) } else { "x".to_owned() };
    (format!("multipart/form-data; boundary={boundary}"), body)
}

fn elsewhere(known: &Known, dice: &mut Dice) -> Value {
    let mut body = json!({ "song": known.song });
    if dice.percent(30) {
        body = json!({ "upload": value("upload", known, dice) });
    }
    if dice.percent(10) {
        body = json!({ "url": value("callback", known, dice) });
    }
    if dice.percent(50) {
        body["options"] = json!({ "shifts": 1, "stems": ["vocals"], "format": { "wav": { "bits": 16 } } });
    }
    if dice.percent(20) {
        body["callback"] = json!({ "url": value("callback", known, dice) });
    }
    disturbed(body, dice)
}

fn separate(dice: &mut Dice) -> Value {
    let mut body = json!({ "mp3": STANDARD.encode(file(dice)) });
    if dice.percent(30) {
        body["model"] = json!(dice.pick(&["htdemucs", "htdemucs_6s", "mdx", ""]));
    }
    if dice.percent(30) {
        body["callback"] = json!({ "url": "https://example.com/", "data": { "a": [1, null] } });
    }
    disturbed(body, dice)
}

/// A value in which one place or none is something else.
fn disturbed(mut whole: Value, dice: &mut Dice) -> Value {
    if dice.percent(60) {
        return whole;
    }
    let other = match dice.below(8) {
        0 => Value::Null,
        1 => json!(-1),
        2 => json!(u64::MAX),
        3 => json!(1e300),
        4 => json!({ "": { "": [] } }),
        5 => (0..100).fold(json!([]), |inner, _| json!([inner])),
        6 => json!(true),
        _ => json!(hostile(dice)),
    };
    *place(&mut whole, dice) = other;
    whole
}

/// Some place in a value.
fn place<'a>(value: &'a mut Value, dice: &mut Dice) -> &'a mut Value {
    let inside = match value {
        Value::Object(members) => members.len(),
        Value::Array(items) => items.len(),
        _ => 0,
    };
    if inside == 0 || dice.percent(30) {
        return value;
    }
    let at = dice.below(inside);
    match value {
        Value::Object(members) => place(members.values_mut().nth(at).unwrap(), dice),
        Value::Array(items) => place(&mut items[at], dice),
        other => other,
    }
}
