//! The zip that `torch.save` writes: a pickle that describes, and one entry for each run of values.
//!
//! Source: `torch/serialization.py`; the official checkpoints are `{klass, args, kwargs, state, ..}`.

use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read as _};

use serde_json::{Map, Number, Value, json};
use zip::{CompressionMethod, ZipArchive};

use super::error::printable;
use super::pickle::{Id, Node, Pickle, TensorRef};
use super::safetensors::{check_class, with_positional};
use super::{Checkpoint, Container, MAX_TENSORS, Plain, WeightsError};

/// Deepest nesting and most values among the constructor arguments; the official ones have 2 and 70.
const MAX_DEPTH: usize = 16;
const MAX_ARGUMENTS: usize = 4096;

/// Longest name or other text that is kept.
const MAX_TEXT_BYTES: usize = 512;

/// Reads the checkpoint as data.
pub(super) fn read(bytes: &[u8]) -> Result<Checkpoint, WeightsError> {
    let mut entries = Entries::open(bytes)?;
    let pickle = Pickle::read(&entries.bytes("data.pkl")?)?;
    if let Some(order) = entries.optional("byteorder")?
        && order.as_slice() != b"little"
    {
        return Err(damaged("its values are not little-endian"));
    }

    let package = dict(&pickle, pickle.root(), "checkpoint")?;
    let part = |name: &str| {
        let missing = || damaged(format!("it has no `{name}`, so it is not a checkpoint of this family"));
        package.get(name).copied().ok_or_else(missing)
    };
    match pickle.get(part("klass")?) {
        Node::Class(class) => check_class(class)?,
        _ => return Err(damaged("its `klass` is no class")),
    }
    let mut budget = MAX_ARGUMENTS;
    let Value::Object(kwargs) = plain(&pickle, part("kwargs")?, MAX_DEPTH, &mut budget)? else {
        return Err(damaged("its `kwargs` is no dictionary"));
    };
    let args = match package.get("args") {
        Some(id) => plain(&pickle, *id, MAX_DEPTH, &mut budget)?,
        None => json!([]),
    };
    let Value::Array(args) = args else { return Err(damaged("its `args` is no tuple")) };
    let kwargs = with_positional(Container::Torch, kwargs, args)?;

    let state = dict(&pickle, part("state")?, "state")?;
    if state.contains_key("__quantized") {
        return Err(damaged("it holds a quantised network, which is not read"));
    }
    if state.len() > MAX_TENSORS {
        return Err(damaged(format!("it holds {} tensors, at most {MAX_TENSORS} are read", state.len())));
    }
    // Views may share values. Together they still hold no more values than the file has bytes.
    let mut values_left = bytes.len();
    let mut tensors = BTreeMap::new();
    for (name, id) in state {
        let Node::Tensor(view) = pickle.get(id) else {
            return Err(damaged(format!("`{}` in its state is no tensor", printable(&name))));
        };
        let tensor = gather(&name, view, &mut entries, &mut values_left)?;
        tensors.insert(name, tensor);
    }
    Checkpoint::assemble(Container::Torch, kwargs, tensors)
}

/// The entries of the zip, read once each.
struct Entries<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    /// Name of the folder around the entries, with its slash.
    folder: String,
    storages: HashMap<String, Vec<u8>>,
    bytes_left: usize,
}

impl<'a> Entries<'a> {
    fn open(bytes: &'a [u8]) -> Result<Self, WeightsError> {
        let zip = ZipArchive::new(Cursor::new(bytes))
            .map_err(|_| damaged("its table of contents, at the end of the file, is missing or broken"))?;
        let names = (0..zip.len()).filter_map(|index| zip.name_for_index(index)?.ok());
        let folder = names
            .filter_map(|name| name.strip_suffix("data.pkl").map(str::to_owned))
            .find(|folder| folder.is_empty() || folder.ends_with('/'))
            .ok_or_else(|| damaged("it is a zip without a `data.pkl`, so torch did not write it"))?;
        Ok(Self { zip, folder, storages: HashMap::new(), bytes_left: bytes.len() })
    }

    fn bytes(&mut self, name: &str) -> Result<Vec<u8>, WeightsError> {
        self.optional(name)?.ok_or_else(|| damaged(format!("it has no entry `{}`", printable(name))))
    }

    /// Content of an entry, its checksum compared. All entries together give no more bytes than the file has.
    fn optional(&mut self, name: &str) -> Result<Option<Vec<u8>>, WeightsError> {
        let Some(index) = self.zip.index_for_name(&format!("{}{name}", self.folder)) else { return Ok(None) };
        let broken = || damaged(format!("its entry `{}` is broken", printable(name)));
        let mut entry = self.zip.by_index(index).map_err(|_| broken())?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(damaged(format!(
                "its entry `{}` is compressed, which torch never does",
                printable(name)
            )));
        }
        let size = usize::try_from(entry.size()).unwrap_or(usize::MAX);
        self.bytes_left = self.bytes_left.checked_sub(size).ok_or_else(broken)?;
        let mut content = Vec::with_capacity(size);
        entry.read_to_end(&mut content).map_err(|_| broken())?;
        if content.len() != size {
            return Err(broken());
        }
        Ok(Some(content))
    }

    fn storage(&mut self, key: &str) -> Result<&[u8], WeightsError> {
        if !self.storages.contains_key(key) {
            let content = self.bytes(&format!("data/{key}"))?;
            self.storages.insert(key.to_owned(), content);
        }
        Ok(self.storages.get(key).map_or(&[], Vec::as_slice))
    }
}

/// The values of a view in row-major order.
fn gather(
    name: &str,
    view: &TensorRef,
    entries: &mut Entries<'_>,
    values_left: &mut usize,
) -> Result<Plain, WeightsError> {
    let outside = || damaged(format!("tensor `{}` lies outside its values", printable(name)));
    let element = view.storage.element.map_err(|element| WeightsError::UnsupportedElement {
        tensor: printable(name),
        element: element.to_owned(),
    })?;
    let sizes =
        |dims: &[i64]| -> Option<Vec<usize>> { dims.iter().map(|dim| usize::try_from(*dim).ok()).collect() };
    let (shape, strides) = sizes(&view.shape).zip(sizes(&view.strides)).ok_or_else(outside)?;
    let offset = usize::try_from(view.offset).map_err(|_| outside())?;
    let count = shape.iter().try_fold(1, |count: usize, dim| count.checked_mul(*dim)).ok_or_else(outside)?;
    *values_left = values_left.checked_sub(count).ok_or_else(outside)?;
    if count == 0 {
        return Ok(Plain { shape, values: vec![] });
    }

    let storage = entries.storage(&view.storage.key)?;
    let last = shape.iter().zip(&strides).try_fold(offset, |last, (dim, stride)| {
        (dim - 1).checked_mul(*stride).and_then(|step| last.checked_add(step))
    });
    let stored = storage.len() / element.size_bytes();
    if last.is_none_or(|last| last >= stored) {
        return Err(outside());
    }
    if strides == row_major(&shape) {
        let run = offset * element.size_bytes()..(offset + count) * element.size_bytes();
        return Ok(Plain { shape, values: element.decode(&storage[run]) });
    }
    let mut picked = Vec::with_capacity(count * element.size_bytes());
    let mut index = vec![0; shape.len()];
    for _ in 0..count {
        let at: usize = offset + index.iter().zip(&strides).map(|(i, stride)| i * stride).sum::<usize>();
        picked.extend_from_slice(&storage[at * element.size_bytes()..(at + 1) * element.size_bytes()]);
        for (i, dim) in index.iter_mut().zip(&shape).rev() {
            *i += 1;
            if *i < *dim {
                break;
            }
            *i = 0;
        }
    }
    Ok(Plain { shape, values: element.decode(&picked) })
}

/// Strides of a contiguous tensor; torch writes any number for a dimension of 1, which then goes the slow way.
fn row_major(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i] * shape[i];
    }
    strides
}

/// A dictionary by its textual keys; the last of equal keys counts, as in Python.
fn dict(pickle: &Pickle, id: Id, what: &str) -> Result<BTreeMap<String, Id>, WeightsError> {
    let Node::Dict(entries) = pickle.get(id) else {
        return Err(damaged(format!("its {what} is no dictionary")));
    };
    let text = |(key, value): &(Id, Id)| match pickle.get(*key) {
        Node::Text(key) if key.len() <= MAX_TEXT_BYTES => Ok((key.clone(), *value)),
        _ => Err(damaged(format!("a key in its {what} is no short text"))),
    };
    entries.iter().map(text).collect()
}

/// A constructor argument as JSON. A pickle may refer to itself, so depth and number are bounded.
fn plain(pickle: &Pickle, id: Id, depth: usize, budget: &mut usize) -> Result<Value, WeightsError> {
    let inner = depth.checked_sub(1).ok_or_else(|| damaged("its arguments are nested too deeply"))?;
    let too_many = || damaged("it has too many arguments");
    *budget = budget.checked_sub(1).ok_or_else(too_many)?;
    Ok(match pickle.get(id) {
        Node::None => Value::Null,
        Node::Bool(value) => json!(value),
        Node::Int(value) => json!(value),
        Node::Float(value) => {
            Value::Number(Number::from_f64(*value).ok_or_else(|| damaged("an argument is not finite"))?)
        }
        Node::Text(text) if text.len() <= MAX_TEXT_BYTES => json!(text),
        Node::List(items) | Node::Tuple(items) => {
            let items = items.iter().map(|item| plain(pickle, *item, inner, budget));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Node::Dict(entries) => {
            *budget = budget.checked_sub(entries.len()).ok_or_else(too_many)?;
            let mut map = Map::new();
            for (key, value) in dict(pickle, id, "arguments")? {
                map.insert(key, plain(pickle, value, inner, budget)?);
            }
            Value::Object(map)
        }
        Node::Fraction(numerator, denominator) => {
            json!({"_type": "fraction", "numerator": numerator, "denominator": denominator})
        }
        _ => return Err(damaged("an argument is neither a number nor a short text nor a list of them")),
    })
}

fn damaged(reason: impl Into<String>) -> WeightsError {
    WeightsError::damaged(Container::Torch, reason)
}
