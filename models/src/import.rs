//! Taking weights from a file that somebody brings.

use std::path::Path;

use demucs::weights::{Checkpoint, Fingerprint, MemberSpec, ModelSpec, WeightsError};

use crate::error::ModelsError;
use crate::install::{Expected, InstalledMember};
use crate::lock::Lock;
use crate::manifest::{MAX_FILE_BYTES, read_bounded, sha256};
use crate::store::{Installed, ModelStore};

impl ModelStore {
    /// Installs weights from a file in any of the three containers.
    ///
    /// `name` is a known model of one network, the signature of a network, or a new name (1 to 64 of `a-z`, `0-9`,
    /// `-`, `_`) under which the network is loaded from then on. Without it, a known network is recognised by its
    /// content, or by the signature at the start of the file's name.
    ///
    /// # Errors
    /// If the file is no checkpoint, is another network than `name` says, or cannot be recognised.
    pub fn import(&self, path: &Path, name: Option<&str>) -> Result<Installed, ModelsError> {
        let bytes = read_bounded(path, MAX_FILE_BYTES)?;
        let checkpoint = Checkpoint::from_bytes(&bytes)?;
        let target = if let Some(name) = name {
            self.target_named(path, name)?
        } else {
            let known = self.recognise(&checkpoint.fingerprint(), &sha256(&bytes));
            let (model, member) = known
                .or_else(|| self.by_file_name(path))
                .ok_or_else(|| ModelsError::Unrecognised { path: path.to_owned() })?;
            Target::Known(model, member)
        };
        let (signature, expected) = match &target {
            Target::Known(model, member) => (member.signature, expected(model, member)),
            Target::Own(name) => {
                (name.as_str(), Expected { signature: name, fingerprint: None, sources: &[] })
            }
        };
        let dir = &self.config().dir;
        let _lock = Lock::take(dir, signature, || ())?;
        let installed = InstalledMember::put(dir, &expected, &checkpoint, &path.display().to_string())?;
        let name = name.map_or_else(|| signature.to_owned(), str::to_owned);
        Ok(Installed { name, members: vec![installed] })
    }

    fn target_named(&self, path: &Path, name: &str) -> Result<Target, ModelsError> {
        if let Some((model, member)) = self.member(name) {
            return Ok(Target::Known(model, member));
        }
        let Ok(model) = self.spec(name) else {
            check_name(name)?;
            return Ok(Target::Own(name.to_owned()));
        };
        match (model.members, self.by_file_name(path)) {
            ([member], _) => Ok(Target::Known(model, member)),
            (_, Some((other, member))) if other.name == model.name => Ok(Target::Known(model, member)),
            (members, _) => Err(ModelsError::Weights(WeightsError::UnknownModel {
                name: format!("{name} for a single file"),
                known: members.iter().map(|member| member.signature).collect::<Vec<_>>().join(", "),
            })),
        }
    }

    fn recognise(
        &self,
        fingerprint: &Fingerprint,
        sha256: &str,
    ) -> Option<(&'static ModelSpec, &'static MemberSpec)> {
        self.members().find(|(_, member)| {
            let known = member.fingerprint.and_then(|known| known.parse::<Fingerprint>().ok());
            known.as_ref() == Some(fingerprint)
                || [member.official.sha256, member.hub.sha256].contains(&sha256)
        })
    }

    fn by_file_name(&self, path: &Path) -> Option<(&'static ModelSpec, &'static MemberSpec)> {
        let stem = path.file_stem()?.to_str()?;
        self.member(stem.split('-').next()?)
    }
}

enum Target {
    Known(&'static ModelSpec, &'static MemberSpec),
    Own(String),
}

pub(crate) fn expected(model: &ModelSpec, member: &MemberSpec) -> Expected<'static> {
    Expected { signature: member.signature, fingerprint: member.fingerprint, sources: model.sources }
}

/// A name that is a harmless file name everywhere.
pub(crate) fn check_name(name: &str) -> Result<(), ModelsError> {
    let harmless = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
    if (1..=64).contains(&name.len()) && name.bytes().all(harmless) {
        Ok(())
    } else {
        Err(ModelsError::BadName { name: name.chars().filter(|c| !c.is_control()).take(80).collect() })
    }
}
