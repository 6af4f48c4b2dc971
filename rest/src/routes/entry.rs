//! What the table of routes consists of.

use axum::http::Method;
use axum::routing::MethodRouter;

use crate::error::Code;
use crate::state::App;

/// One method of one path.
pub(crate) struct Entry {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) handler: MethodRouter<App>,
    /// Name of the operation in the document.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) params: &'static [Param],
    /// Media types of the body and their schemas.
    pub(crate) body: &'static [(&'static str, &'static str)],
    pub(crate) answers: &'static [Answer],
    /// What can go wrong in its handler; what surrounds all of them adds its own.
    pub(crate) errors: &'static [Code],
}

/// A parameter that is no part of the path.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Param {
    /// Of the query.
    Query(&'static str, &'static str),
    /// A header.
    Header(&'static str, &'static str),
    /// All options of a job, in the query.
    Options,
}

/// A status, what it means, and the media type and schema of its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answer(
    pub(crate) u16,
    pub(crate) &'static str,
    pub(crate) Option<(&'static str, &'static str)>,
);

impl Entry {
    pub(super) fn new(
        method: Method,
        path: &'static str,
        handler: MethodRouter<App>,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        Self { method, path, handler, id, summary, params: &[], body: &[], answers: &[], errors: &[] }
    }

    pub(super) fn params(self, params: &'static [Param]) -> Self {
        Self { params, ..self }
    }

    pub(super) fn body(self, body: &'static [(&'static str, &'static str)]) -> Self {
        Self { body, ..self }
    }

    pub(super) fn answers(self, answers: &'static [Answer]) -> Self {
        Self { answers, ..self }
    }

    pub(super) fn errors(self, errors: &'static [Code]) -> Self {
        Self { errors, ..self }
    }
}
