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
    /// Bytes of memory.
    pub memory: usize,
    /// Processors, each of which runs one or more blocks at a time.
    pub processors: u32,
    /// Bytes of shared memory that a block can have.
    pub shared: u32,
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
