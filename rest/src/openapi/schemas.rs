//! Shapes of bodies, as JSON Schema 2020-12.

use serde_json::{Value, json};

use crate::error::Code;

fn object(required: &[&str], properties: Value) -> Value {
    let mut object = json!({ "type": "object", "required": required });
    object["properties"] = properties;
    object
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn list(of: Value) -> Value {
    let mut list = json!({ "type": "array" });
    list["items"] = of;
    list
}

/// All of them.
pub(super) fn schemas() -> Value {
    [of_jobs(), of_operations(), of_the_editor()].into_iter().fold(json!({}), |mut all, more| {
        if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
            all.extend(more);
        }
        all
    })
}

/// Those of the editor's contract.
fn of_the_editor() -> Value {
    let (text, whole, number) = (
        json!({ "type": "string" }),
        json!({ "type": "integer", "minimum": 0 }),
        json!({ "type": "number" }),
    );
    json!({
        "Music": object(&["music_id", "name", "band", "tracks"], json!({
            "music_id": whole, "name": text, "band": text,
            "tracks": list(object(&["name", "track_id"], json!({ "name": text, "track_id": whole }))),
        })),
        "MusicList": list(reference("Music")),
        "EditorTracks": { "description": "Numbers or names, in a list or below `instruments` or `tracks`." },
        "EditorProgress": object(&["progress", "instruments", "final"], json!({
            "progress": { "type": "integer", "minimum": 0, "maximum": 100 },
            "instruments": list(object(&["name", "track"], json!({ "name": text, "track": text }))),
            "final": text, "error": text,
        })),
        "EditorJobs": list(whole.clone()),
        "EditorJob": object(&["job_id", "size", "time", "music_id", "track_id"], json!({
            "job_id": whole, "size": whole, "time": number, "music_id": whole,
            "track_id": { "oneOf": [whole, list(whole.clone())] },
        })),
    })
}

/// Those of the native interface and of the older contract.
fn of_jobs() -> Value {
    let (text, whole, number) = (
        json!({ "type": "string" }),
        json!({ "type": "integer", "minimum": 0 }),
        json!({ "type": "number" }),
    );
    let maybe_text = json!({ "type": ["string", "null"] });
    let maybe_number = json!({ "type": ["number", "null"] });
    let time = json!({ "type": "string", "format": "date-time" });
    let maybe_time = json!({ "type": ["string", "null"], "format": "date-time" });
    let hash = json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" });
    let stem = json!({ "type": "string", "pattern": "^[a-z0-9_]{1,32}$" });
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "Any": {},
        "Text": text,
        "File": { "type": "string", "contentEncoding": "binary" },
        "Job": object(
            &["id", "state", "song", "size_bytes", "options", "progress", "stems", "created_at", "expires_at"],
            json!({
                "id": text, "song": hash, "title": maybe_text, "artist": maybe_text, "size_bytes": whole,
                "state": { "enum": ["queued", "running", "succeeded", "failed", "canceled"] },
                "options": reference("Options"), "progress": reference("Progress"),
                "stems": list(reference("Stem")),
                "error": { "oneOf": [{ "type": "null" },
                    object(&["code", "detail"], json!({ "code": text, "detail": text }))] },
                "created_at": time, "started_at": maybe_time, "completed_at": maybe_time, "expires_at": time,
                "deduplicated": { "type": "boolean", "description": "The job was there before the request." },
            }),
        ),
        "JobPage": object(&["jobs"], json!({ "jobs": list(reference("Job")), "next_cursor": maybe_text })),
        "Options": object(&[], json!({
            "model": text, "stems": list(stem.clone()), "two_stems": maybe_text,
            "mixes": list(object(&["name", "gains"], json!({
                "name": stem, "gains": { "type": "object", "additionalProperties": number } }))),
            "only_mixes": { "type": "boolean" },
            "format": { "oneOf": [
                object(&["mp3"], json!({ "mp3": object(&["bitrate_kbps"], json!({ "bitrate_kbps": whole })) })),
                object(&["wav"], json!({ "wav": object(&["bits"], json!({ "bits": { "enum": [16, 24, 32] } })) })),
                object(&["flac"], json!({ "flac": object(&["bits"], json!({ "bits": { "enum": [16, 24] } })) })),
            ] },
            "rate_hz": { "type": ["integer", "null"] }, "shifts": whole, "overlap": number,
            "clip": { "enum": ["common", "rescale", "clamp", "none"] },
        })),
        "Progress": object(&["percent", "segments_done", "segments_total"], json!({
            "percent": { "type": "integer", "minimum": 0, "maximum": 100 },
            "segments_done": whole, "segments_total": whole, "speed": maybe_number, "eta_s": maybe_number,
            "queue_position": { "type": ["integer", "null"] },
        })),
        "Stem": object(&["name", "url", "frames", "rate_hz", "size_bytes", "sha256"], json!({
            "name": stem, "url": text, "frames": whole, "rate_hz": whole, "size_bytes": whole, "sha256": hash,
        })),
        "Peaks": object(&["frames", "rate_hz", "peaks"], json!({
            "frames": whole, "rate_hz": whole,
            "peaks": list(json!({ "type": "array", "prefixItems": [number, number], "items": false })),
        })),
        "SongForm": object(&["file"], json!({
            "file": reference("File"), "options": text, "callback": text, "model": text, "stems": text,
        })),
        "Elsewhere": object(&[], json!({
            "upload": text, "song": hash, "url": text, "options": reference("Options"),
            "callback": { "oneOf": [{ "type": "null" }, object(&["url"], json!({ "url": text }))] },
        })),
        "Upload": object(&["id", "url", "method", "expires_in_s", "max_bytes"], json!({
            "id": text, "url": text, "method": text, "expires_in_s": whole, "max_bytes": whole,
            "part_bytes": whole, "parts": list(text.clone()),
        })),
        "Announced": object(&[], json!({ "size_bytes": { "type": ["integer", "null"], "minimum": 0 } })),
        "Models": object(&["models", "default"], json!({
            "models": list(object(&["name", "stems", "about"], json!({
                "name": text, "stems": list(text.clone()), "about": text }))),
            "default": text,
        })),
        "Problem": object(&["type", "title", "status", "code", "detail", "request_id"], json!({
            "type": text, "title": text, "status": whole, "code": { "enum": codes }, "detail": text,
            "param": text, "request_id": text,
        })),
        "OldSeparate": object(&["mp3"], json!({
            "mp3": { "type": "string", "contentEncoding": "base64" }, "model": maybe_text,
            "callback": { "oneOf": [{ "type": "null" },
                object(&["url"], json!({ "url": text, "data": {} }))] },
        })),
        "OldSeparated": object(&["hash", "reason"], json!({ "hash": hash, "reason": text })),
        "OldQueue": object(&["queue"], json!({ "queue": list(hash.clone()) })),
        "OldError": object(&["error"], json!({ "error": text })),
    })
}

/// Those of whoever runs the service.
fn of_operations() -> Value {
    let text = json!({ "type": "string" });
    let whole = json!({ "type": "integer", "minimum": 0 });
    let hash = json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" });
    json!({
        "Depth": object(&["jobs", "ready", "delayed", "active", "cost_ms", "dead", "ready_notices", "active_notices", "oldest_ready_ms"], json!({
            "jobs": whole, "ready": whole, "delayed": whole, "active": whole, "cost_ms": whole, "dead": whole,
            "ready_notices": whole, "active_notices": whole, "oldest_ready_ms": whole,
        })),
        "Workers": object(&["workers"], json!({ "workers": list(reference("Worker")) })),
        "Worker": object(&["worker", "silent_ms", "task"], json!({
            "worker": text, "silent_ms": whole,
            "task": { "oneOf": [{ "type": "null" }, reference("HeldTask")] },
        })),
        "HeldTask": object(
            &["id", "job", "kind", "tenant", "song", "attempt", "held_ms", "left_ms", "before"],
            json!({
                "id": text, "job": text, "kind": { "enum": ["merge", "derive", "span", "plan"] }, "tenant": text,
                "song": hash, "attempt": whole, "held_ms": whole, "left_ms": whole, "before": { "type": ["string", "null"] },
            }),
        ),
    })
}
