//! One card of this machine.

use std::fmt;
use std::sync::Arc;

use super::driver::Driver;
use super::memory::{Memory, Pinned, Value};
use super::sequence::{Launch, Prepared, Sequence};
use super::stream::Stream;
use crate::error::{Error, Result};

/// Of a grid, but for its first direction.
const MOST_BLOCKS: u32 = 65535;

/// A card that can be computed on. A copy is the same card.
#[derive(Debug, Clone)]
pub struct Card {
    pub(super) driver: Arc<dyn Driver>,
}

/// What a card is.
#[derive(Debug, Clone)]
pub struct Properties {
    /// Which of this machine's cards it is, from 0.
    pub number: usize,
    /// Its name.
    pub name: String,
    /// Major and minor number of what its processors can do: 9 and 0 are Hopper.
    pub capability: (u32, u32),
    /// Version of CUDA that the driver knows.
    pub driver: (u32, u32),
    /// What compiled the kernels, with its version.
    pub compiler: &'static str,
    /// Whether the driver compiles them further: there is no machine code for a card so new.
    pub translates: bool,
    /// Bytes of memory.
    pub memory: usize,
    /// Processors, each of which runs one or more blocks at a time.
    pub processors: u32,
    /// Bytes of shared memory that a block can have.
    pub shared: u32,
}

impl Properties {
    /// What the bits of a result depend on but for the choice of kernels: the machine code that runs.
    pub(crate) fn code(&self) -> String {
        let (major, minor) = self.capability;
        let code = format!("{major}.{minor} by {}", self.compiler);
        if !self.translates {
            return code;
        }
        let (major, minor) = self.driver;
        format!("{code} and a driver of CUDA {major}.{minor}")
    }
}

impl Card {
    /// How many cards the driver finds, whether or not they can be used.
    ///
    /// # Errors
    /// [`crate::Error::Request`] where there is no driver, or no card.
    #[cfg(feature = "cuda")]
    pub fn count() -> Result<usize> {
        super::nvidia::count()
    }

    /// The card of that number, from 0.
    ///
    /// # Errors
    /// [`crate::Error::Request`] where there is no driver, no such card, one that is too old, or too old a driver.
    #[cfg(feature = "cuda")]
    pub fn open(index: usize) -> Result<Self> {
        Ok(Self { driver: Arc::new(super::nvidia::Nvidia::open(index)?) })
    }

    /// A card that this machine's processor plays.
    #[cfg(feature = "emulation")]
    #[must_use]
    pub fn emulated() -> Self {
        Self { driver: Arc::new(super::emulation::Emulation::new()) }
    }

    /// Has an emulated card fail from now on, for good, as a card does after a fault.
    #[cfg(feature = "emulation")]
    pub fn fail(&self) {
        self.driver.fail();
    }

    /// Has the next launch of an emulated card find too little memory, as where others have taken it.
    #[cfg(feature = "emulation")]
    pub fn crowd(&self) {
        self.driver.crowd();
    }

    /// Has launches of an emulated card come to no end as long as `hangs` holds.
    #[cfg(feature = "emulation")]
    pub fn hang(&self, hangs: bool) {
        self.driver.hang(hangs);
    }

    /// What it is.
    #[must_use]
    pub fn properties(&self) -> &Properties {
        self.driver.properties()
    }

    /// Bytes of its memory that nobody has.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where it fails.
    pub fn free_memory(&self) -> Result<usize> {
        self.driver.free_bytes()
    }

    /// So many bytes of its memory, all of them 0.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where they are not left.
    pub fn zeroed(&self, bytes: usize) -> Result<Memory> {
        Memory::zeroed(self, bytes)
    }

    /// So many values of the host's memory, all of them 0, which are copied without this processor's help.
    ///
    /// # Errors
    /// [`crate::Error::OutOfMemory`] where they are not left.
    pub fn pinned<T: Value>(&self, len: usize) -> Result<Pinned<T>> {
        Pinned::zeroed(self, len)
    }

    /// Copies values to where `offset` bytes of `to` are before, and waits for it.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where it fails.
    ///
    /// # Panics
    /// Where they do not fit.
    pub fn upload<T: Value>(&self, values: &[T], to: &Memory, offset: usize) -> Result<()> {
        let address = to.part(self, offset, size_of_val(values));
        let stream = self.stream()?;
        let copied =
            // SAFETY: both have these bytes, and are borrowed until the stream is done.
            unsafe { self.driver.upload(stream.handle, values.as_ptr().cast(), address, size_of_val(values)) };
        copied.and(stream.finish())
    }

    /// Copies to `values` what is behind `offset` bytes of `from`, and waits for it.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where it fails.
    ///
    /// # Panics
    /// Where they reach beyond its end.
    pub fn download<T: Value>(&self, from: &Memory, offset: usize, values: &mut [T]) -> Result<()> {
        let bytes = size_of_val(values);
        let address = from.part(self, offset, bytes);
        let stream = self.stream()?;
        // SAFETY: both have these bytes, and are borrowed until the stream is done; any bits are a value.
        let copied =
            unsafe { self.driver.download(stream.handle, address, values.as_mut_ptr().cast(), bytes) };
        copied.and(stream.finish())
    }

    /// A new stream: what is given to one is done in order, and beside what others do.
    ///
    /// # Errors
    /// [`crate::Error::Card`] where it fails.
    pub fn stream(&self) -> Result<Stream> {
        Stream::new(self)
    }

    /// Launches that are run one after the other.
    ///
    /// # Errors
    /// [`crate::Error::Card`] for a kernel that is not there, or that takes other arguments or less shared memory.
    ///
    /// # Safety
    /// Each kernel reads and writes, for its grid and arguments, nothing but memory of this card that lives for as
    /// long as the sequence does, and that no other stream uses while it runs.
    pub unsafe fn sequence(&self, launches: Vec<Launch>) -> Result<Sequence> {
        let prepared = launches.into_iter().map(|launch| {
            let [x, y, z] = launch.grid;
            if x == 0 || y == 0 || z == 0 || y.max(z) > MOST_BLOCKS {
                return Err(Error::Card(format!("{}: a grid of {:?} blocks", launch.kernel, launch.grid)));
            }
            let args = size_of_val(&*launch.args);
            Ok(Prepared { kernel: self.driver.kernel(&launch.kernel, args, launch.shared)?, launch })
        });
        Ok(Sequence::new(self, prepared.collect::<Result<_>>()?))
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.driver, &other.driver)
    }
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Properties { name, capability, driver, memory, .. } = self.properties();
        let gib = *memory as f64 / f64::from(1 << 30);
        write!(f, "{name} ({}.{}, {gib:.1} GiB, CUDA {}.{})", capability.0, capability.1, driver.0, driver.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_depend_on_who_made_the_machine_code() {
        let hopper = Properties {
            number: 0,
            name: "a card".into(),
            capability: (9, 0),
            driver: (13, 0),
            compiler: "nvcc 13.0.88",
            translates: false,
            memory: 1 << 36,
            processors: 132,
            shared: 227 << 10,
        };
        assert_eq!(hopper.code(), "9.0 by nvcc 13.0.88");
        let newer_driver = Properties { driver: (13, 1), ..hopper.clone() };
        assert_eq!(newer_driver.code(), hopper.code());
        let other_compiler = Properties { compiler: "nvcc 13.1.2", ..hopper.clone() };
        assert_ne!(other_compiler.code(), hopper.code());

        let blackwell = Properties { capability: (10, 0), translates: true, ..hopper };
        let newer_driver = Properties { driver: (13, 1), ..blackwell.clone() };
        assert_ne!(newer_driver.code(), blackwell.code());
    }
}
