//! The tensors of a checkpoint, handed out one by one so that each is freed as soon as it is packed.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor};

use super::buffer::Buffer;
use super::layout::padded;

/// What is left of a checkpoint.
#[derive(Debug)]
pub(super) struct Tensors(BTreeMap<String, Tensor>);

impl Tensors {
    pub(super) fn new(tensors: BTreeMap<String, Tensor>) -> Self {
        Self(tensors)
    }

    /// Takes a tensor out.
    ///
    /// # Errors
    /// There is none of this name and shape.
    pub(super) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let missing = || candle_core::Error::CannotFindTensor { path: name.to_owned() };
        let tensor = self.0.remove(name).ok_or_else(missing)?;
        if tensor.dims() != shape {
            return Err(candle_core::Error::UnexpectedShape {
                msg: format!("shape mismatch for {name}"),
                expected: shape.into(),
                got: tensor.shape().clone(),
            }
            .bt());
        }
        tensor.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1()
    }

    /// Takes a vector out, padded with zeros to whole vectors.
    pub(super) fn vector(&mut self, name: &str, len: usize) -> Result<Buffer> {
        Ok(Buffer::padded(&self.take(name, &[len])?, padded(len)))
    }
}
