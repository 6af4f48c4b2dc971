//! The folder of installed models.

use std::fs;

use demucs::weights::{Checkpoint, Fingerprint, MemberSpec, ModelSpec, WeightsError};

use crate::config::StoreConfig;
use crate::error::ModelsError;
use crate::event::FetchEvent;
use crate::import::{check_name, expected};
use crate::install::{Expected, InstalledMember, weights_path};
use crate::lock::Lock;
use crate::manifest::Manifest;
use crate::origin::fetch_member;

/// Models in a folder, fetched when they are missing.
#[derive(Debug)]
pub struct ModelStore {
    config: StoreConfig,
}

/// A model with all the weights that were asked for in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Name of the model.
    pub name: String,
    /// Its networks.
    pub members: Vec<InstalledMember>,
}

/// What is there of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelStatus {
    /// Name of the model.
    pub name: String,
    /// Its stems, in the order of the output.
    pub sources: Vec<String>,
    /// How many networks it consists of.
    pub members: usize,
    /// Those that are installed.
    pub installed: Vec<InstalledMember>,
    /// The sum of it.
    pub state: ModelState,
}

/// How much of a model is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelState {
    /// Nothing.
    Absent,
    /// Some of its networks.
    Partial,
    /// All of them.
    Installed,
    /// Imported, and not to be used any more; [`ModelStore::verify`] says why.
    Damaged,
}

/// A model in memory.
#[derive(Debug)]
pub struct LoadedBag {
    /// Name of the model.
    pub name: String,
    /// Its stems, in the order of the output.
    pub sources: Vec<String>,
    /// The networks that the wanted stems need.
    pub members: Vec<Checkpoint>,
    /// Identity of each of those.
    pub fingerprints: Vec<Fingerprint>,
    /// A row for each of those, a column for each stem; without it all count the same.
    pub weights: Option<Vec<Vec<f32>>>,
}

impl ModelStore {
    /// A store in that folder, which need not exist yet.
    ///
    /// # Errors
    /// If there is something else in the folder's place.
    pub fn open(config: StoreConfig) -> Result<Self, ModelsError> {
        let dir = &config.dir;
        match fs::metadata(dir) {
            Ok(found) if !found.is_dir() => {
                let source = std::io::ErrorKind::NotADirectory.into();
                Err(ModelsError::Io { action: "use as a folder", path: dir.clone(), source })
            }
            _ => Ok(Self { config }),
        }
    }

    /// The settings of the store.
    #[must_use]
    pub fn config(&self) -> &StoreConfig {
        &self.config
    }

    /// All known models and all imported ones, each with what is installed of it.
    ///
    /// # Errors
    /// If the folder is there and cannot be listed.
    pub fn list(&self) -> Result<Vec<ModelStatus>, ModelsError> {
        let known = self.config.registry.iter().map(|model| {
            let found = model.members.iter().filter_map(|member| self.find(member.signature));
            ModelStatus::new(model.name, texts(model.sources), model.members.len(), found.collect())
        });
        let mut all: Vec<_> = known.collect();
        for name in self.imported()? {
            let found: Vec<_> = self.find(&name).into_iter().collect();
            let sources = found.first().map(|member| member.sources.clone()).unwrap_or_default();
            let mut status = ModelStatus::new(&name, sources, 1, found);
            if status.state == ModelState::Absent {
                status.state = ModelState::Damaged;
            }
            all.push(status);
        }
        Ok(all)
    }

    /// Makes sure that a model is installed; asks the sources for what is missing, and only for that.
    ///
    /// # Errors
    /// If the model is unknown, no source has it, or fetching is switched off.
    pub fn ensure(&self, name: &str, events: &mut dyn FnMut(FetchEvent)) -> Result<Installed, ModelsError> {
        self.ensure_for(name, None, events)
    }

    /// Like [`ensure`](Self::ensure), for the networks that the wanted stems need.
    ///
    /// # Errors
    /// Those of [`ensure`](Self::ensure), and a stem that the model does not give.
    pub fn ensure_for(
        &self,
        name: &str,
        wanted: Option<&[&str]>,
        events: &mut dyn FnMut(FetchEvent),
    ) -> Result<Installed, ModelsError> {
        self.obtain(name, wanted, Replace::Missing, events)
    }

    /// Fetches all of a model anew, whatever is installed.
    ///
    /// # Errors
    /// Those of [`ensure`](Self::ensure). What was installed stays until its replacement is complete.
    pub fn fetch(&self, name: &str, events: &mut dyn FnMut(FetchEvent)) -> Result<Installed, ModelsError> {
        self.obtain(name, None, Replace::All, events)
    }

    /// Reads every installed network of a model, and compares checksum, fingerprint and stems.
    ///
    /// # Errors
    /// [`ModelsError::NotInstalled`] if one is missing, [`ModelsError::Damaged`] if one has changed.
    pub fn verify(&self, name: &str) -> Result<Installed, ModelsError> {
        let plan = self.plan(name, None)?;
        let members = self.installed(name, &plan)?;
        for (member, expected) in members.iter().zip(plan.expected()) {
            let checkpoint = member.load(&self.config.dir)?;
            let fingerprint = checkpoint.fingerprint();
            if fingerprint != member.fingerprint {
                return Err(member.damaged(format!("its fingerprint is {fingerprint}")));
            }
            expected
                .check(&fingerprint, &checkpoint.sources())
                .map_err(|error| member.damaged(error.to_string()))?;
        }
        Ok(Installed { name: name.to_owned(), members })
    }

    /// Reads the networks that the wanted stems need; without wanted stems, all.
    ///
    /// The checksum of each file is compared (0.2 s for a network of 84 MB).
    ///
    /// # Errors
    /// [`ModelsError::NotInstalled`], [`ModelsError::Damaged`], or a stem that the model does not give.
    pub fn load(&self, name: &str, wanted: Option<&[&str]>) -> Result<LoadedBag, ModelsError> {
        let plan = self.plan(name, wanted)?;
        let mut bag = LoadedBag {
            name: name.to_owned(),
            sources: plan.sources.clone(),
            members: vec![],
            fingerprints: vec![],
            weights: plan.weights.clone(),
        };
        for (member, expected) in self.installed(name, &plan)?.iter().zip(plan.expected()) {
            let sources: Vec<&str> = member.sources.iter().map(String::as_str).collect();
            expected
                .check(&member.fingerprint, &sources)
                .map_err(|error| member.damaged(error.to_string()))?;
            bag.members.push(member.load(&self.config.dir)?);
            bag.fingerprints.push(member.fingerprint);
        }
        Ok(bag)
    }

    pub(crate) fn spec(&self, name: &str) -> Result<&'static ModelSpec, WeightsError> {
        self.config.registry.iter().find(|model| model.name == name).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> WeightsError {
        let mut known: Vec<String> = self.config.registry.iter().map(|model| model.name.to_owned()).collect();
        // A folder that cannot be listed adds none.
        known.extend(self.imported().unwrap_or_default());
        WeightsError::UnknownModel { name: name.to_owned(), known: known.join(", ") }
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = (&'static ModelSpec, &'static MemberSpec)> {
        self.config.registry.iter().flat_map(|model| model.members.iter().map(move |member| (model, member)))
    }

    pub(crate) fn member(&self, signature: &str) -> Option<(&'static ModelSpec, &'static MemberSpec)> {
        self.members().find(|(_, member)| member.signature == signature)
    }

    fn find(&self, signature: &str) -> Option<InstalledMember> {
        InstalledMember::find(&self.config.dir, signature)
    }

    /// Names of the manifests beside weights that belong to no known network, damaged ones too.
    fn imported(&self) -> Result<Vec<String>, ModelsError> {
        let dir = &self.config.dir;
        let io = |source| ModelsError::Io { action: "list", path: dir.clone(), source };
        let entries = match fs::read_dir(dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
            entries => entries.map_err(io)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let path = entry.map_err(io)?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let manifest = path.extension().is_some_and(|extension| extension == "json");
            if manifest
                && check_name(stem).is_ok()
                && self.member(stem).is_none()
                && (weights_path(dir, stem).exists() || Manifest::read(&path).is_ok())
            {
                names.push(stem.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn obtain(
        &self,
        name: &str,
        wanted: Option<&[&str]>,
        replace: Replace,
        events: &mut dyn FnMut(FetchEvent),
    ) -> Result<Installed, ModelsError> {
        let plan = self.plan(name, wanted)?;
        let mut members = Vec::with_capacity(plan.parts.len());
        let mut licence_shown = false;
        for part in &plan.parts {
            let Part::Known(model, spec) = part else {
                members.extend(self.installed(name, &plan)?);
                continue;
            };
            if let (Some(found), Replace::Missing) = (self.find(spec.signature), replace) {
                members.push(found);
                continue;
            }
            let signature = spec.signature;
            let waiting = || events(FetchEvent::Waiting { signature: signature.to_owned() });
            let _lock = Lock::take(&self.config.dir, signature, waiting)?;
            // Somebody else may have fetched it while this one waited.
            if let (Some(found), Replace::Missing) = (self.find(signature), replace) {
                members.push(found);
                continue;
            }
            members.push(fetch_member(
                &self.config,
                spec,
                &expected(model, spec),
                &mut licence_shown,
                events,
            )?);
        }
        Ok(Installed { name: name.to_owned(), members })
    }

    fn installed(&self, name: &str, plan: &Plan) -> Result<Vec<InstalledMember>, ModelsError> {
        let found: Vec<_> = plan.parts.iter().filter_map(|part| self.find(part.signature())).collect();
        let missing = plan.parts.len() - found.len();
        if missing > 0 {
            let dir = self.config.dir.clone();
            return Err(ModelsError::NotInstalled { name: name.to_owned(), missing, dir });
        }
        Ok(found)
    }

    /// Which networks a name and its wanted stems need.
    fn plan(&self, name: &str, wanted: Option<&[&str]>) -> Result<Plan, ModelsError> {
        let wanted = wanted.unwrap_or_default();
        if let Ok(model) = self.spec(name) {
            let rows = model.members_for(wanted)?;
            let weights =
                model.weights.map(|weights| rows.iter().map(|row| weights[*row].to_vec()).collect());
            let parts = rows.iter().map(|row| Part::Known(model, &model.members[*row])).collect();
            return Ok(Plan { parts, sources: texts(model.sources), weights });
        }
        let imported = match check_name(name) {
            Ok(()) => InstalledMember::look(&self.config.dir, name)?,
            Err(_) => None,
        };
        let Some(own) = imported else { return Err(self.unknown(name).into()) };
        if let Some(stem) = wanted.iter().find(|stem| !own.sources.iter().any(|source| source == *stem)) {
            return Err(ModelsError::Weights(WeightsError::UnknownStem {
                model: name.to_owned(),
                stem: (*stem).to_owned(),
                known: own.sources.join(", "),
            }));
        }
        Ok(Plan { parts: vec![Part::Own(name.to_owned())], sources: own.sources, weights: None })
    }
}

impl ModelStatus {
    fn new(name: &str, sources: Vec<String>, members: usize, installed: Vec<InstalledMember>) -> Self {
        let state = match installed.len() {
            0 => ModelState::Absent,
            count if count == members => ModelState::Installed,
            _ => ModelState::Partial,
        };
        Self { name: name.to_owned(), sources, members, installed, state }
    }
}

#[derive(Clone, Copy)]
enum Replace {
    Missing,
    All,
}

/// The networks that a request needs.
struct Plan {
    parts: Vec<Part>,
    sources: Vec<String>,
    weights: Option<Vec<Vec<f32>>>,
}

enum Part {
    Known(&'static ModelSpec, &'static MemberSpec),
    /// Imported under a name of its own.
    Own(String),
}

impl Part {
    fn signature(&self) -> &str {
        match self {
            Self::Known(_, member) => member.signature,
            Self::Own(name) => name,
        }
    }
}

impl Plan {
    fn expected(&self) -> impl Iterator<Item = Expected<'_>> {
        self.parts.iter().map(|part| match part {
            Part::Known(model, member) => expected(model, member),
            Part::Own(name) => Expected { signature: name, fingerprint: None, sources: &[] },
        })
    }
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}
