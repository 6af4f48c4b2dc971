//! A pickle read as data: what `torch.save` writes, and no code ever run.
//!
//! The reader keeps every value in one list and lets containers refer to it by index, so that shared and
//! recursive structures cost nothing, and every operation costs at most what its bytes justify. Names are taken
//! from a list; a name outside it ends the reading.
//!
//! Source: `pickletools.py` of Python for the operations, `torch/serialization.py` for the persistent ids.

use std::collections::HashMap;

use super::element::Element;
use super::error::printable;
use super::{Container, MAX_RANK, WeightsError};

/// Longest pickle; that of an official checkpoint has 80 kB, its tensors lie beside it.
pub(super) const MAX_PICKLE_BYTES: usize = 4 << 20;

/// Index of a value in the [`Pickle`].
pub(super) type Id = usize;

/// A value of the pickle; containers hold indices.
#[derive(Debug)]
pub(super) enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Fraction(i64, i64),
    Class(String),
    Tensor(TensorRef),
    Storage(Storage),
    /// Something allowed that no checkpoint needs: numpy numbers among the training records.
    Opaque,
    Function(Function),
}

/// A view of a storage: where it starts, its shape and its strides, counted in values.
#[derive(Debug, Clone)]
pub(super) struct TensorRef {
    pub(super) storage: Storage,
    pub(super) offset: i64,
    pub(super) shape: Vec<i64>,
    pub(super) strides: Vec<i64>,
}

/// A run of values in an entry of the zip. The kind is `Err` with its name when it is none that is read.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    pub(super) element: Result<Element, &'static str>,
    pub(super) key: String,
}

/// The names that a checkpoint may call.
#[derive(Debug, Clone, Copy)]
pub(super) enum Function {
    RebuildTensor,
    OrderedDict,
    Fraction,
    StorageOf(Result<Element, &'static str>),
    /// Numbers of numpy; the results are not looked at.
    Numpy,
}

/// All values of a pickle.
#[derive(Debug)]
pub(super) struct Pickle {
    nodes: Vec<Node>,
    root: Id,
}

impl Pickle {
    /// Reads until the first complete object.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, WeightsError> {
        if bytes.len() > MAX_PICKLE_BYTES {
            let reason = format!("its pickle has {} bytes, at most {MAX_PICKLE_BYTES} are read", bytes.len());
            return Err(damaged(reason));
        }
        let mut reader = Reader { bytes, nodes: vec![], stack: vec![], marks: vec![], memo: HashMap::new() };
        let root = loop {
            if let Some(root) = reader.step()? {
                break root;
            }
        };
        Ok(Self { nodes: reader.nodes, root })
    }

    pub(super) fn root(&self) -> Id {
        self.root
    }

    pub(super) fn get(&self, id: Id) -> &Node {
        // Ids come from the reader alone and are never beyond the list.
        self.nodes.get(id).unwrap_or(&Node::None)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    nodes: Vec<Node>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Reader<'_> {
    /// One operation. `Some` is the finished object.
    fn step(&mut self) -> Result<Option<Id>, WeightsError> {
        let operation = self.array::<1>()?[0];
        match operation {
            b'.' => return self.pop().map(Some),
            // Protocol number and frame length say nothing that is needed.
            0x80 => _ = self.array::<1>()?,
            0x95 => _ = self.array::<8>()?,
            b'(' => self.marks.push(self.stack.len()),
            b'0' => _ = self.pop()?,
            b'1' => _ = self.popped_to_mark()?,
            b'q' => self.remember_as(|reader| Ok(u32::from(reader.array::<1>()?[0])))?,
            b'r' => self.remember_as(|reader| Ok(u32::from_le_bytes(reader.array()?)))?,
            0x94 => self.remember_as(|reader| Ok(reader.memo.len() as u32))?,
            b'h' => self.recall(|reader| Ok(u32::from(reader.array::<1>()?[0])))?,
            b'j' => self.recall(|reader| Ok(u32::from_le_bytes(reader.array()?)))?,
            b'N' => self.push(Node::None),
            0x88 => self.push(Node::Bool(true)),
            0x89 => self.push(Node::Bool(false)),
            b'K' | b'M' | b'J' | 0x8a => self.int(operation)?,
            b'G' => {
                let value = f64::from_be_bytes(self.array()?);
                self.push(Node::Float(value));
            }
            b'X' | 0x8c | 0x8d | b'U' | b'T' | b'B' | b'C' | 0x8e => self.text(operation)?,
            b'}' => self.push(Node::Dict(vec![])),
            b']' => self.push(Node::List(vec![])),
            b')' => self.push(Node::Tuple(vec![])),
            0x85..=0x87 => self.short_tuple(usize::from(operation - 0x84))?,
            b't' => {
                let items = self.popped_to_mark()?;
                self.push(Node::Tuple(items));
            }
            b'l' => {
                let items = self.popped_to_mark()?;
                self.push(Node::List(items));
            }
            b'd' => {
                let items = self.popped_to_mark()?;
                self.push(Node::Dict(pairs(&items)?));
            }
            b's' | b'u' => self.set_items(operation)?,
            b'a' | b'e' => self.append(operation)?,
            b'c' | 0x93 => self.global(operation)?,
            b'Q' => self.persistent()?,
            b'R' | 0x81 => self.call()?,
            b'b' => self.build()?,
            other => {
                return Err(damaged(format!("its pickle has operation 0x{other:02x}, which is not read")));
            }
        }
        Ok(None)
    }

    fn int(&mut self, operation: u8) -> Result<(), WeightsError> {
        let value = match operation {
            b'K' => i64::from(self.array::<1>()?[0]),
            b'M' => i64::from(u16::from_le_bytes(self.array()?)),
            b'J' => i64::from(i32::from_le_bytes(self.array()?)),
            _ => {
                let length = usize::from(self.array::<1>()?[0]);
                let digits = self.take(length)?;
                if length > 8 {
                    return Err(damaged("a number in its pickle has more than 64 bits"));
                }
                // Two's complement, shortest form: the sign is that of the last byte.
                let mut bytes =
                    if digits.last().is_some_and(|last| last & 0x80 != 0) { [0xff; 8] } else { [0; 8] };
                bytes[..length].copy_from_slice(digits);
                i64::from_le_bytes(bytes)
            }
        };
        self.push(Node::Int(value));
        Ok(())
    }

    fn text(&mut self, operation: u8) -> Result<(), WeightsError> {
        let length = match operation {
            0x8c | b'U' | b'C' => usize::from(self.array::<1>()?[0]),
            b'X' | b'T' | b'B' => u32::from_le_bytes(self.array()?) as usize,
            _ => usize::try_from(u64::from_le_bytes(self.array()?)).unwrap_or(usize::MAX),
        };
        let bytes = self.take(length)?;
        let node = match (operation, str::from_utf8(bytes)) {
            // Bytes occur in training records only.
            (b'B' | b'C' | 0x8e, _) | (b'U' | b'T', Err(_)) => Node::Opaque,
            (_, Ok(text)) => Node::Text(text.to_owned()),
            (_, Err(_)) => return Err(damaged("a text in its pickle is not UTF-8")),
        };
        self.push(node);
        Ok(())
    }

    fn short_tuple(&mut self, length: usize) -> Result<(), WeightsError> {
        let start = self.stack.len().checked_sub(length).ok_or_else(underflow)?;
        if self.marks.last().is_some_and(|mark| *mark > start) {
            return Err(underflow());
        }
        let items = self.stack.split_off(start);
        self.push(Node::Tuple(items));
        Ok(())
    }

    fn set_items(&mut self, operation: u8) -> Result<(), WeightsError> {
        let items = match operation {
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.popped_to_mark()?,
        };
        let added = pairs(&items)?;
        match self.top()? {
            Node::Dict(entries) => entries.extend(added),
            Node::Opaque => (),
            _ => return Err(damaged("its pickle sets an item of something that is no dictionary")),
        }
        Ok(())
    }

    fn append(&mut self, operation: u8) -> Result<(), WeightsError> {
        let added = if operation == b'a' { vec![self.pop()?] } else { self.popped_to_mark()? };
        match self.top()? {
            Node::List(items) => items.extend(added),
            Node::Opaque => (),
            _ => return Err(damaged("its pickle appends to something that is no list")),
        }
        Ok(())
    }

    fn global(&mut self, operation: u8) -> Result<(), WeightsError> {
        let (module, name) = if operation == b'c' {
            (self.line()?, self.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            match (&self.nodes[module], &self.nodes[name]) {
                (Node::Text(module), Node::Text(name)) => (module.clone(), name.clone()),
                _ => return Err(damaged("a name in its pickle is no text")),
            }
        };
        let function = match (module.as_str(), name.as_str()) {
            ("torch._utils", "_rebuild_tensor_v2") => Function::RebuildTensor,
            ("collections", "OrderedDict") => Function::OrderedDict,
            ("fractions", "Fraction") => Function::Fraction,
            ("torch", "HalfStorage") => Function::StorageOf(Ok(Element::F16)),
            ("torch", "BFloat16Storage") => Function::StorageOf(Ok(Element::Bf16)),
            ("torch", "FloatStorage") => Function::StorageOf(Ok(Element::F32)),
            ("torch", "DoubleStorage") => Function::StorageOf(Ok(Element::F64)),
            ("torch", "LongStorage") => Function::StorageOf(Ok(Element::I64)),
            ("torch", "IntStorage") => Function::StorageOf(Err("i32")),
            ("torch", "ShortStorage") => Function::StorageOf(Err("i16")),
            ("torch", "CharStorage") => Function::StorageOf(Err("i8")),
            ("torch", "ByteStorage") => Function::StorageOf(Err("u8")),
            ("torch", "BoolStorage") => Function::StorageOf(Err("bool")),
            // The official checkpoints keep their training metrics as numpy numbers.
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar")
            | ("numpy", "dtype")
            | ("_codecs", "encode") => Function::Numpy,
            _ if module.starts_with("demucs.") => {
                self.push(Node::Class(format!("{module}.{name}")));
                return Ok(());
            }
            _ => return Err(WeightsError::RefusedGlobal { global: printable(&format!("{module}.{name}")) }),
        };
        self.push(Node::Function(function));
        Ok(())
    }

    /// `('storage', kind, key, device, length)`: a storage kept outside the pickle.
    fn persistent(&mut self) -> Result<(), WeightsError> {
        let id = self.pop()?;
        let Node::Tuple(parts) = &self.nodes[id] else { return Err(bad_storage()) };
        let &[tag, kind, key, ..] = parts.as_slice() else { return Err(bad_storage()) };
        let storage = match (&self.nodes[tag], &self.nodes[kind], &self.nodes[key]) {
            (Node::Text(tag), Node::Function(Function::StorageOf(element)), Node::Text(key))
                if tag == "storage" && key.len() <= 64 =>
            {
                Storage { element: *element, key: key.clone() }
            }
            _ => return Err(bad_storage()),
        };
        self.push(Node::Storage(storage));
        Ok(())
    }

    /// Applies a function of the list to its arguments; everything else that a pickle may call is refused.
    fn call(&mut self) -> Result<(), WeightsError> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let Node::Tuple(arguments) = &self.nodes[arguments] else {
            return Err(damaged("its pickle calls something without arguments"));
        };
        let node = match &self.nodes[callee] {
            Node::Function(Function::RebuildTensor) => Node::Tensor(self.tensor(arguments)?),
            Node::Function(Function::OrderedDict) if arguments.is_empty() => Node::Dict(vec![]),
            Node::Function(Function::Fraction) => self.fraction(arguments)?,
            Node::Function(Function::Numpy) => Node::Opaque,
            Node::Class(class) => {
                return Err(WeightsError::RefusedGlobal { global: printable(&format!("{class}(..)")) });
            }
            _ => return Err(damaged("its pickle calls something that cannot be called")),
        };
        self.push(node);
        Ok(())
    }

    /// Attributes: of a dictionary only bookkeeping, of anything else refused.
    fn build(&mut self) -> Result<(), WeightsError> {
        self.pop()?;
        match self.top()? {
            Node::Dict(_) | Node::Opaque => Ok(()),
            _ => Err(damaged("its pickle sets attributes of something that has none")),
        }
    }

    /// `(storage, offset, shape, strides, requires_grad, hooks)`.
    fn tensor(&self, arguments: &[Id]) -> Result<TensorRef, WeightsError> {
        let &[storage, offset, shape, strides, ..] = arguments else { return Err(bad_tensor()) };
        let (Node::Storage(storage), Node::Int(offset)) = (&self.nodes[storage], &self.nodes[offset]) else {
            return Err(bad_tensor());
        };
        let (shape, strides) = (self.ints(shape)?, self.ints(strides)?);
        if shape.len() != strides.len() {
            return Err(bad_tensor());
        }
        Ok(TensorRef { storage: storage.clone(), offset: *offset, shape, strides })
    }

    fn ints(&self, id: Id) -> Result<Vec<i64>, WeightsError> {
        let Node::Tuple(items) = &self.nodes[id] else { return Err(bad_tensor()) };
        if items.len() > MAX_RANK {
            return Err(bad_tensor());
        }
        let int = |id: &Id| match &self.nodes[*id] {
            Node::Int(value) => Ok(*value),
            _ => Err(bad_tensor()),
        };
        items.iter().map(int).collect()
    }

    /// `Fraction("39/5")` of older Pythons, `Fraction(39, 5)` of newer ones.
    fn fraction(&self, arguments: &[Id]) -> Result<Node, WeightsError> {
        let arguments: Vec<&Node> = arguments.iter().take(3).map(|id| &self.nodes[*id]).collect();
        let parts = match arguments.as_slice() {
            [Node::Int(numerator), Node::Int(denominator)] => Some((*numerator, *denominator)),
            [Node::Int(whole)] => Some((*whole, 1)),
            [Node::Text(text)] => {
                let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
                numerator.trim().parse().ok().zip(denominator.trim().parse().ok())
            }
            _ => None,
        };
        match parts {
            Some((numerator, denominator)) if denominator != 0 => Ok(Node::Fraction(numerator, denominator)),
            _ => Err(damaged("a fraction in its pickle is none")),
        }
    }

    fn remember_as(
        &mut self,
        key: impl Fn(&mut Self) -> Result<u32, WeightsError>,
    ) -> Result<(), WeightsError> {
        let key = key(self)?;
        let id = *self.stack.last().ok_or_else(underflow)?;
        self.memo.insert(key, id);
        Ok(())
    }

    fn recall(&mut self, key: impl Fn(&mut Self) -> Result<u32, WeightsError>) -> Result<(), WeightsError> {
        let key = key(self)?;
        let id =
            *self.memo.get(&key).ok_or_else(|| damaged("its pickle refers to a value it does not have"))?;
        self.stack.push(id);
        Ok(())
    }

    fn push(&mut self, node: Node) {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
    }

    fn pop(&mut self) -> Result<Id, WeightsError> {
        if self.marks.last().is_some_and(|mark| *mark >= self.stack.len()) {
            return Err(underflow());
        }
        self.stack.pop().ok_or_else(underflow)
    }

    fn popped_to_mark(&mut self) -> Result<Vec<Id>, WeightsError> {
        let mark = self.marks.pop().ok_or_else(underflow)?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&mut self) -> Result<&mut Node, WeightsError> {
        let id = *self.stack.last().ok_or_else(underflow)?;
        self.nodes.get_mut(id).ok_or_else(underflow)
    }

    fn line(&mut self) -> Result<String, WeightsError> {
        let end = self.bytes.iter().position(|byte| *byte == b'\n').ok_or_else(ended)?;
        let line = self.take(end)?.to_vec();
        self.array::<1>()?;
        String::from_utf8(line).map_err(|_| damaged("a name in its pickle is not UTF-8"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WeightsError> {
        let (array, rest) = self.bytes.split_first_chunk().ok_or_else(ended)?;
        self.bytes = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Result<&[u8], WeightsError> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or_else(ended)?;
        self.bytes = rest;
        Ok(taken)
    }
}

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, WeightsError> {
    let (pairs, rest) = items.as_chunks::<2>();
    if rest.is_empty() {
        Ok(pairs.iter().map(|[key, value]| (*key, *value)).collect())
    } else {
        Err(damaged("a dictionary in its pickle has a key without a value"))
    }
}

fn damaged(reason: impl Into<String>) -> WeightsError {
    WeightsError::damaged(Container::Torch, reason)
}

fn underflow() -> WeightsError {
    damaged("its pickle takes a value that it never put down")
}

fn ended() -> WeightsError {
    damaged("its pickle ends in the middle of an operation")
}

fn bad_storage() -> WeightsError {
    damaged("its pickle refers to something that is no storage of values")
}

fn bad_tensor() -> WeightsError {
    damaged("a tensor in its pickle is described wrongly")
}
