//! Which devices compute, by the words of a command line.

use std::fmt;

use crate::compute::{Compute, Device};
#[cfg(feature = "cuda")]
use crate::cuda::Card;
use crate::error::{Error, Result};
use crate::kernels::Kernels;

/// Devices that work side by side: their results are the same, and none is there twice.
#[derive(Debug)]
pub struct Devices {
    /// Those that compute, at least one.
    pub all: Vec<Compute>,
    /// Why others do not that `auto` or `cuda:all` could have meant, as in "no card: the NVIDIA driver finds no card".
    pub left_out: Vec<String>,
}

impl Devices {
    /// The devices that words with commas between them name, with the kernels of one of [`Kernels::WORDS`]. A word is `cpu`,
    /// `cuda` or `metal`, these also with a number as in `cuda:1`, `cuda:all` for every card that can be used, or `auto` for
    /// the best device that these kernels run on.
    ///
    /// # Errors
    /// [`Error::Request`] for any other word, where a device or the kernels cannot be used, and where the devices cannot work
    /// side by side.
    pub fn named(words: &str, kernels: &str) -> Result<Self> {
        let kernels = kernels.parse()?;
        let mut devices = Self { all: Vec::new(), left_out: Vec::new() };
        for word in words.split(',').map(str::trim) {
            let Self { all, left_out } = Self::of_word(word, kernels)?;
            devices.all.extend(all);
            devices.left_out.extend(left_out);
        }
        side_by_side(&devices.all.iter().map(|one| (one.name(), one.resolved())).collect::<Vec<_>>())?;
        Ok(devices)
    }

    fn of_word(word: &str, kernels: Kernels) -> Result<Self> {
        let unknown = || {
            Error::Request(format!(
                "\"{word}\" names no device: auto, cpu, cuda, cuda:N and metal are possible"
            ))
        };
        let with = |device| {
            let compute = Compute { device, kernels };
            compute.check().map(|()| compute)
        };
        let (kind, number) = word.split_once(':').map_or((word, None), |(kind, number)| (kind, Some(number)));
        let index = || number.map_or(Ok(0), |number| number.parse().map_err(|_| unknown()));
        let one = match (kind, number) {
            ("auto", None) => {
                return Self::first([
                    ("no card", &|| with(cuda(0)?)),
                    ("no Metal", &|| with(metal(0)?)),
                    ("not the CPU", &|| with(Device::Cpu)),
                ]);
            }
            ("cuda", Some("all")) => return Self::every(cards()?, |card| with(cuda(card)?)),
            ("cpu", None) => with(Device::Cpu)?,
            ("cuda", _) => with(cuda(index()?)?)?,
            ("metal", _) => with(metal(index()?)?)?,
            _ => return Err(unknown()),
        };
        Ok(Self { all: vec![one], left_out: Vec::new() })
    }

    /// The first that can be used, and what is to be said of those before it.
    fn first<const N: usize>(devices: [(&str, &dyn Fn() -> Result<Compute>); N]) -> Result<Self> {
        let mut left_out = Vec::new();
        for (without, open) in devices {
            match open() {
                Ok(one) => return Ok(Self { all: vec![one], left_out }),
                Err(error) => left_out.push(format!("{without}: {error}")),
            }
        }
        Err(Error::Request(left_out.join("; ")))
    }

    /// So many cards without those that cannot be used.
    fn every(count: usize, open: impl Fn(usize) -> Result<Compute>) -> Result<Self> {
        let mut devices = Self { all: Vec::new(), left_out: Vec::new() };
        for card in 0..count {
            match open(card) {
                Ok(one) => devices.all.push(one),
                Err(error) => devices.left_out.push(format!("no cuda:{card}: {error}")),
            }
        }
        if devices.all.is_empty() {
            return Err(Error::Request(devices.left_out.join("; ")));
        }
        Ok(devices)
    }
}

impl fmt::Display for Devices {
    /// One line: what computes, how, and what does not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.all.iter().map(ToString::to_string).collect();
        f.write_str(&all.join(", "))?;
        self.left_out.iter().try_for_each(|why| write!(f, "; {why}"))
    }
}

#[cfg(feature = "cuda")]
fn cuda(index: usize) -> Result<Device> {
    Card::open(index).map(Device::Cuda)
}

#[cfg(feature = "cuda")]
fn cards() -> Result<usize> {
    Card::count()
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> Result<Device> {
    Err(Error::Request("this program was built without CUDA".into()))
}

#[cfg(not(feature = "cuda"))]
fn cards() -> Result<usize> {
    cuda(0).map(|_| 0)
}

#[cfg(feature = "metal")]
fn metal(index: usize) -> Result<Device> {
    let device = candle_core::Device::new_metal(index);
    device.map(Device::Metal).map_err(|error| Error::Request(format!("no Metal device can be used: {error}")))
}

#[cfg(not(feature = "metal"))]
fn metal(_: usize) -> Result<Device> {
    Err(Error::Request("this program was built without Metal".into()))
}

/// Refuses devices whose results differ, and names that come twice, of `(name, what results depend on)`.
fn side_by_side(devices: &[(String, String)]) -> Result<()> {
    for (i, (name, kind)) in devices.iter().enumerate() {
        if devices[..i].iter().any(|(other, _)| other == name) {
            return Err(Error::Request(format!("{name} is named twice")));
        }
        if *kind != devices[0].1 {
            return Err(Error::Request(format!("{} and {name} cannot share songs", devices[0].0)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(words: &str, kernels: &str) -> String {
        Devices::named(words, kernels).unwrap_err().to_string()
    }

    #[test]
    fn words_that_name_nothing_are_refused() {
        assert!(matches!(Compute::named("cpu", "auto"), Ok(Compute { device: Device::Cpu, .. })));
        for word in ["", "gpu", "cuda:x", "cuda:", "cpu:-1", "cpu:5", "auto:7", "metal:all"] {
            let error = refusal(word, "auto");
            assert!(error.contains("names no device"), "{word}: {error}");
        }
        for word in ["", "sse", "Plain"] {
            let error = refusal("cpu", word);
            assert!(error.contains("names no kernels"), "{word}: {error}");
        }
    }

    #[test]
    fn a_card_that_cannot_be_used_is_refused_in_a_sentence() {
        let possible = if cfg!(feature = "cuda") {
            ["no NVIDIA driver is installed here", "the NVIDIA driver finds no card", "there is no card 99: "]
        } else {
            ["this program was built without CUDA"; 3]
        };
        let error = refusal("cuda:99", "auto");
        assert!(possible.iter().any(|sentence| error.starts_with(sentence)), "{error}");
    }

    #[test]
    fn the_best_device_is_the_first_that_the_kernels_run_on_and_says_what_the_others_lack() {
        let card = || Err(Error::Request("the NVIDIA driver finds no card".into()));
        let cpu = || Ok(Compute { kernels: Kernels::Portable, ..Compute::cpu() });
        let best = Devices::first([("no card", &card), ("not the CPU", &cpu)]).unwrap();
        assert_eq!(best.to_string(), "cpu (portable); no card: the NVIDIA driver finds no card");
        let none = Devices::first([("no card", &card), ("no Metal", &card)]).unwrap_err().to_string();
        assert!(none.starts_with("no card: ") && none.contains("; no Metal: "), "{none}");

        let portable = Devices::named("auto", "portable").unwrap();
        assert_eq!((portable.all.len(), portable.all[0].name().as_str()), (1, "cpu"));
        assert!(!portable.left_out.is_empty());
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn kernels_that_no_device_has_are_refused_with_every_reason() {
        let error = refusal("auto", "half");
        assert!(error.starts_with("no card: this program was built without CUDA; "), "{error}");
        assert!(error.ends_with("; not the CPU: half kernels compute on NVIDIA's cards only"), "{error}");
        assert_eq!(refusal("cuda:all", "auto"), "this program was built without CUDA");
    }

    #[test]
    fn cards_that_cannot_be_used_are_left_out_of_all() {
        let open = |broken: &'static [usize]| {
            move |card| {
                if broken.contains(&card) {
                    return Err(Error::Card("context: CUDA_ERROR_ECC_UNCORRECTABLE".into()));
                }
                Ok(Compute { kernels: Kernels::Portable, ..Compute::cpu() })
            }
        };
        let some = Devices::every(4, open(&[0, 2])).unwrap();
        assert_eq!((some.all.len(), some.left_out.len()), (2, 2));
        assert_eq!(some.left_out[1], "no cuda:2: the card failed: context: CUDA_ERROR_ECC_UNCORRECTABLE");
        let none = Devices::every(2, open(&[0, 1])).unwrap_err().to_string();
        assert!(none.contains("no cuda:0") && none.contains("; no cuda:1"), "{none}");
    }

    #[test]
    fn devices_that_work_side_by_side_are_of_one_kind_and_named_once() {
        let kind = |word: &str| word.split(':').next().unwrap_or(word).to_owned();
        let names =
            |words: &[&str]| words.iter().map(|word| ((*word).to_owned(), kind(word))).collect::<Vec<_>>();
        assert!(side_by_side(&names(&["cuda:0", "cuda:1", "cuda:3"])).is_ok());
        let error = |words: &[&str]| side_by_side(&names(words)).unwrap_err().to_string();
        assert_eq!(error(&["cuda:0", "cuda:1", "cuda:0"]), "cuda:0 is named twice");
        assert_eq!(error(&["cpu", "cuda:0"]), "cpu and cuda:0 cannot share songs");
        let one = Devices::named("cpu", "auto").unwrap();
        assert_eq!(one.all.iter().map(Compute::name).collect::<Vec<_>>(), ["cpu"]);
        for words in ["", "cpu,", "cpu,gpu", "cpu, cpu"] {
            assert!(Devices::named(words, "auto").is_err(), "{words}");
        }
    }

    #[test]
    fn kernels_that_the_processor_lacks_are_refused() {
        let foreign = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };
        assert_eq!(refusal("cpu", foreign), format!("this processor has no {foreign}"));
        assert_eq!(refusal("cpu", "half"), "half kernels compute on NVIDIA's cards only");
    }
}
