//! The tensors of a checkpoint, handed out one by one.

use std::collections::BTreeMap;

use candle_core::{DType, Error, Result, Tensor};

/// What is left of a checkpoint.
#[derive(Debug)]
pub(crate) struct Tensors(BTreeMap<String, Tensor>);

impl Tensors {
    pub(crate) fn new(tensors: BTreeMap<String, Tensor>) -> Self {
        Self(tensors)
    }

    /// Takes a tensor out, so that it is freed with what is made of it.
    ///
    /// # Errors
    /// There is none of this name and shape.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let values = self.look(name, shape)?;
        self.0.remove(name);
        Ok(values)
    }

    /// Looks at a tensor that is needed once more.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(crate) fn look(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = self.0.get(name).ok_or_else(|| Error::CannotFindTensor { path: name.to_owned() })?;
        if tensor.dims() != shape {
            return Err(Error::UnexpectedShape {
                msg: format!("shape mismatch for {name}"),
                expected: shape.into(),
                got: tensor.shape().clone(),
            }
            .bt());
        }
        tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
    }
}
