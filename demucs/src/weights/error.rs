//! What can be wrong with weights.

use super::Container;

/// Why a checkpoint or a model name was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// None of the three containers.
    #[error(
        "not a checkpoint: neither safetensors, nor a torch zip, nor an exported graph ({size_bytes} bytes)"
    )]
    Unrecognised {
        /// Size of the file in bytes.
        size_bytes: usize,
    },
    /// A pickle without the zip around it.
    #[error(
        "this is the torch format from before version 1.6, which is not read: save it again with a newer torch"
    )]
    LegacyTorch,
    /// The container is recognised, its content makes no sense.
    #[error("damaged {container} checkpoint: {reason}")]
    Damaged {
        /// What the file claims to be.
        container: Container,
        /// One clause.
        reason: String,
    },
    /// A pickle asked for a name that a checkpoint has no business with.
    #[error(
        "refused: the checkpoint asks for `{global}`, which is not on the list of names that data may use"
    )]
    RefusedGlobal {
        /// Module and name, as in the pickle.
        global: String,
    },
    /// Values of a kind that no supported checkpoint has.
    #[error("tensor `{tensor}` holds {element} values, only f16, bf16, f32, f64 and i64 are read")]
    UnsupportedElement {
        /// Name of the tensor.
        tensor: String,
        /// Name of its kind of value.
        element: String,
    },
    /// A network of another family.
    #[error("the checkpoint holds a `{class}`, only HTDemucs networks are supported")]
    UnsupportedClass {
        /// Class name from the checkpoint.
        class: String,
    },
    /// Nothing says how to build the network.
    #[error("the checkpoint does not say how its network is built (no `kwargs`), and it is not a known one")]
    NoArchitecture,
    /// Not a name in the registry.
    #[error("unknown model `{name}`, known are {known}")]
    UnknownModel {
        /// The name asked for.
        name: String,
        /// Known names, separated by commas.
        known: String,
    },
    /// The model does not give this stem.
    #[error("model `{model}` has no stem `{stem}`, it has {known}")]
    UnknownStem {
        /// Name of the model.
        model: String,
        /// The stem asked for.
        stem: String,
        /// Stems of the model, separated by commas.
        known: String,
    },
    /// candle could not make or read a tensor.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl WeightsError {
    pub(super) fn damaged(container: Container, reason: impl Into<String>) -> Self {
        Self::Damaged { container, reason: reason.into() }
    }
}

/// Text from a file, fit for a message: no control characters, at most 80 characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}
