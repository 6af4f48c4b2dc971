//! safetensors: what Hugging Face serves, and the install format.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use ::safetensors::{Dtype, SafeTensors};
use candle_core::DType;
use serde_json::{Map, Value, json};

use super::element::{Element, exact_halves};
use super::error::printable;
use super::{CLASS, Checkpoint, Container, MAX_RANK, MAX_TENSORS, Plain, WeightsError, registry};

/// Longest JSON header; that of a 533-tensor network has 60 kB.
pub(super) const MAX_HEADER_BYTES: u64 = 4 << 20;

/// Reads a file with the metadata `klass`, `args`, `kwargs` (JSON texts), or without metadata a known network.
pub(super) fn read(bytes: &[u8]) -> Result<Checkpoint, WeightsError> {
    if bytes.first_chunk().is_none_or(|length| u64::from_le_bytes(*length) > MAX_HEADER_BYTES) {
        return Err(damaged(format!("its header is longer than {MAX_HEADER_BYTES} bytes")));
    }
    if let Some(reason) = cut_off(bytes) {
        return Err(damaged(reason));
    }
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(broken)?;
    let file = SafeTensors::deserialize(bytes).map_err(broken)?;
    if file.len() > MAX_TENSORS {
        return Err(damaged(format!("it holds {} tensors, at most {MAX_TENSORS} are read", file.len())));
    }
    let metadata = header.metadata().as_ref();
    let described = metadata.filter(|texts| texts.contains_key("kwargs"));
    let kwargs = described.map(kwargs).transpose()?;

    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let element = element(view.dtype()).ok_or_else(|| WeightsError::UnsupportedElement {
            tensor: printable(name),
            element: format!("{:?}", view.dtype()),
        })?;
        if view.shape().len() > MAX_RANK {
            return Err(damaged(format!("tensor `{}` has more than {MAX_RANK} dimensions", printable(name))));
        }
        tensors.insert(
            name.to_owned(),
            Plain { shape: view.shape().to_vec(), values: element.decode(view.data()) },
        );
    }
    let mut checkpoint =
        Checkpoint::assemble(Container::Safetensors, kwargs.clone().unwrap_or_default(), tensors)?;
    if kwargs.is_none() {
        checkpoint.kwargs =
            registry::kwargs_of(checkpoint.fingerprint()).ok_or(WeightsError::NoArchitecture)?;
    }
    Ok(checkpoint)
}

/// Where a file ends that is shorter than its header says.
fn cut_off(bytes: &[u8]) -> Option<String> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let Some((header, values)) = rest.split_at_checked(length) else {
        return Some(format!("it is cut off inside its header, after {} bytes", bytes.len()));
    };
    let header: BTreeMap<String, Value> = serde_json::from_slice(header).ok()?;
    let ends = header.iter().filter_map(|(name, entry)| Some((entry["data_offsets"][1].as_u64()?, name)));
    // The first one in the file that is not whole.
    let (_, tensor) = ends.filter(|(end, _)| *end > values.len() as u64).min()?;
    Some(format!("it is cut off at or before tensor `{}`, after {} bytes", printable(tensor), bytes.len()))
}

/// Writes the install format: one kind of value, names sorted, metadata sorted, header padded to 8 bytes.
pub(super) fn write(checkpoint: &Checkpoint) -> Result<Vec<u8>, WeightsError> {
    let mut values = BTreeMap::new();
    for (name, tensor) in &checkpoint.tensors {
        let flat = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        values.insert(name.as_str(), flat);
    }
    let halves: Option<Vec<Vec<u8>>> = values.values().map(|values| exact_halves(values)).collect();
    let (dtype, payload) = if let Some(halves) = halves {
        ("F16", halves)
    } else {
        let bytes = |values: &Vec<f32>| values.iter().flat_map(|value| value.to_le_bytes()).collect();
        ("F32", values.values().map(bytes).collect())
    };

    // By hand, because `serde_json` maps and the crate's own metadata map promise no order.
    let kwargs = sorted(&Value::Object(checkpoint.kwargs.clone())).to_string();
    let metadata = [("args", "[]"), ("klass", CLASS), ("kwargs", kwargs.as_str())];
    let metadata = metadata.map(|(key, text)| format!("{}:{}", json!(key), json!(text))).join(",");
    let mut header = format!("{{\"__metadata__\":{{{metadata}}}");
    let mut offset = 0;
    for ((name, tensor), bytes) in checkpoint.tensors.iter().zip(&payload) {
        let end = offset + bytes.len();
        let entry = format!(
            "{{\"dtype\":\"{dtype}\",\"shape\":{},\"data_offsets\":[{offset},{end}]}}",
            json!(tensor.dims())
        );
        // Writing to a String cannot fail.
        let _ = write!(header, ",{}:{entry}", json!(name));
        offset = end;
    }
    header.push('}');
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));

    let mut file = Vec::with_capacity(8 + header.len() + offset);
    file.extend_from_slice(&(header.len() as u64).to_le_bytes());
    file.extend_from_slice(header.as_bytes());
    for bytes in &payload {
        file.extend_from_slice(bytes);
    }
    Ok(file)
}

/// The constructor arguments out of the metadata, with the class checked and positional arguments named.
fn kwargs(metadata: &HashMap<String, String>) -> Result<Map<String, Value>, WeightsError> {
    if metadata.contains_key("structure") {
        return Err(damaged("it holds a quantised network, which is not read"));
    }
    if let Some(class) = metadata.get("klass") {
        check_class(class)?;
    }
    let text = metadata.get("kwargs").map_or("{}", String::as_str);
    let Ok(Value::Object(kwargs)) = serde_json::from_str(text) else {
        return Err(damaged("`kwargs` in its metadata is not a JSON object"));
    };
    let text = metadata.get("args").map_or("[]", String::as_str);
    let Ok(Value::Array(args)) = serde_json::from_str(text) else {
        return Err(damaged("`args` in its metadata is not a JSON array"));
    };
    with_positional(Container::Safetensors, kwargs, args)
}

/// Refuses every class but the one this crate builds.
pub(super) fn check_class(class: &str) -> Result<(), WeightsError> {
    match class.rsplit('.').next() {
        Some("HTDemucs") => Ok(()),
        _ => Err(WeightsError::UnsupportedClass { class: printable(class) }),
    }
}

/// Names the positional arguments: the official class takes `sources` first, and nobody passes more.
pub(super) fn with_positional(
    container: Container,
    mut kwargs: Map<String, Value>,
    args: Vec<Value>,
) -> Result<Map<String, Value>, WeightsError> {
    if args.len() > 1 {
        let reason =
            format!("its class gets {} arguments without a name, at most 1 is understood", args.len());
        return Err(WeightsError::damaged(container, reason));
    }
    for sources in args {
        kwargs.insert("sources".to_owned(), sources);
    }
    Ok(kwargs)
}

fn element(dtype: Dtype) -> Option<Element> {
    match dtype {
        Dtype::F16 => Some(Element::F16),
        Dtype::BF16 => Some(Element::Bf16),
        Dtype::F32 => Some(Element::F32),
        Dtype::F64 => Some(Element::F64),
        Dtype::I64 => Some(Element::I64),
        _ => None,
    }
}

/// The same value with the keys of every object in order, whatever map `serde_json` was built with.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<_, _> = map.iter().collect();
            Value::Object(ordered.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect())
        }
        Value::Array(values) => values.iter().map(sorted).collect(),
        plain => plain.clone(),
    }
}

fn damaged(reason: impl Into<String>) -> WeightsError {
    WeightsError::damaged(Container::Safetensors, reason)
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn broken(error: ::safetensors::SafeTensorError) -> WeightsError {
    damaged(printable(&error.to_string()))
}
