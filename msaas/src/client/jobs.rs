//! Looking at jobs, ending them, and what a server has besides.

use anyhow::Context as _;
use common::job::View;
use common::queue::State;
use common::{JobId, StemName};
use serde::Deserialize;
use ureq::http::Method;
use url::Url;

use super::{Result, Server, word};

/// Jobs on a page of a list, the most that the server gives.
const PAGE: usize = 200;

/// A network, and the stems that it gives.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) stems: Vec<String>,
}

/// What came of a song that was sent.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Accepted {
    #[serde(flatten)]
    pub(crate) job: View,
    /// Whether the same work was asked for before.
    #[serde(default)]
    pub(crate) deduplicated: bool,
}

impl Server {
    /// A job as it is now.
    pub(crate) fn job(&self, id: &JobId) -> Result<View> {
        self.json(self.ask(Method::GET, &format!("v2/jobs/{id}"), &[]))
    }

    /// The latest jobs, at most `most`; only those in a state where one is named.
    pub(crate) fn jobs(&self, state: Option<State>, most: usize) -> Result<Vec<View>> {
        #[derive(Deserialize)]
        struct Page {
            jobs: Vec<View>,
            next_cursor: Option<String>,
        }
        let state = state.map(word).unwrap_or_default();
        let (mut jobs, mut cursor) = (Vec::new(), String::new());
        loop {
            let limit = (most - jobs.len()).clamp(1, PAGE).to_string();
            let query = [("state", state), ("limit", &limit), ("cursor", &cursor)];
            let page: Page = self.json(self.ask(Method::GET, "v2/jobs", &query))?;
            jobs.extend(page.jobs);
            match page.next_cursor {
                Some(next) if jobs.len() < most => cursor = next,
                _ => break,
            }
        }
        jobs.truncate(most);
        Ok(jobs)
    }

    /// Stops a job; gives it as it is then.
    pub(crate) fn cancel(&self, id: &JobId) -> Result<View> {
        self.json(self.ask(Method::POST, &format!("v2/jobs/{id}/cancel"), &[]))
    }

    /// Removes a job and its results.
    pub(crate) fn delete(&self, id: &JobId) -> Result<()> {
        self.send(self.ask(Method::DELETE, &format!("v2/jobs/{id}"), &[]), ()).map(drop)
    }

    /// Removes everything that the server has.
    pub(crate) fn reset(&self) -> Result<()> {
        self.send(self.ask(Method::POST, "v2/reset", &[]), ()).map(drop)
    }

    /// The networks of the server, the usual one first.
    pub(crate) fn models(&self) -> Result<Vec<Model>> {
        #[derive(Deserialize)]
        struct Models {
            models: Vec<Model>,
        }
        Ok(self.json::<Models>(self.ask(Method::GET, "v2/models", &[]))?.models)
    }

    /// A network of the server; the usual one where none is named.
    pub(crate) fn model(&self, name: Option<&str>) -> anyhow::Result<Model> {
        let models = self.models()?;
        let known = || models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ");
        let found = models.iter().find(|known| name.is_none_or(|name| known.name == name));
        let missing =
            || format!("{} has no network {}, only {}", self.name(), name.unwrap_or_default(), known());
        found.cloned().with_context(missing)
    }

    /// Length in bytes of the largest song that the server takes.
    pub(crate) fn upload_limit(&self) -> Result<u64> {
        #[derive(Deserialize)]
        struct Limits {
            upload_bytes: u64,
        }
        Ok(self.json::<Limits>(self.ask(Method::GET, "v2/limits", &[]))?.upload_bytes)
    }

    /// Where a stem of a job is.
    pub(crate) fn stem_at(&self, id: &JobId, stem: &StemName) -> Url {
        self.at(&format!("v2/jobs/{id}/stems/{stem}"), &[])
    }
}
