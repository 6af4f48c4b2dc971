//! Settings of a worker: each one a flag, a variable, a default and a sentence.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use common::ModelName;
use common::backends::size;
use common::ledger::Ledger;
use demucs::Devices;
use models::{ModelStore, StoreConfig};

use crate::Worker;
use crate::engines::{EngineError, Engines};
use crate::settings::Settings;

/// How a worker works.
#[derive(Debug, Clone, Args)]
pub struct WorkerArgs {
    /// Network that is loaded at the start; others are fetched when a song asks for them [default: htdemucs].
    #[arg(long, env = "MSAAS_MODEL")]
    pub model: Option<ModelName>,
    /// Folder of the installed weights [default: msaas/models in the user's cache folder].
    #[arg(long, env = "MSAAS_MODEL_DIR", value_name = "DIR")]
    pub model_dir: Option<PathBuf>,
    /// Folder that is searched for weights before any host is asked.
    #[arg(long, env = "MSAAS_MODEL_SOURCE", value_name = "DIR")]
    pub model_source: Option<PathBuf>,
    /// Fetch no weights over the network.
    #[arg(long, env = "MSAAS_OFFLINE")]
    pub offline: bool,
    /// Where to compute: auto, cpu, cuda, cuda:N, metal, several cards with commas between them, or cuda:all.
    #[arg(long, env = "MSAAS_DEVICE", default_value = "auto")]
    pub device: String,
    /// How to compute: auto (the fastest), plain, amx, avx512, avx2, neon or portable on the CPU, half or single on CUDA.
    #[arg(long, env = "MSAAS_KERNELS", default_value = "auto")]
    pub kernels: String,
    /// Threads to compute with; 0 takes one for each core.
    #[arg(long, env = "MSAAS_THREADS", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub threads: u16,
    /// Segments that pass through the network together; 0 takes what suits the device: one on the CPU, up to 16 on a card.
    #[arg(long, env = "MSAAS_BATCH", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=256))]
    pub batch: u16,
    /// Bytes of a card's memory that may be used, as in 8GiB [default: all that is free].
    #[arg(long, env = "MSAAS_DEVICE_MEMORY", value_name = "BYTES", value_parser = size)]
    pub device_memory: Option<u64>,
    /// Songs in work at a time; 0 takes one for each device, and where several segments pass through a network together
    /// eight, but no more in all than there are cores.
    #[arg(long, env = "MSAAS_SONGS_AT_ONCE", default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1024))]
    pub songs_at_once: u16,
    /// Folder for songs and results in work [default: the system's].
    #[arg(long, env = "MSAAS_TEMP_DIR", value_name = "DIR")]
    pub temp_dir: Option<PathBuf>,
    /// Bytes of that folder that songs in work may take together, as in 18GiB: others wait for them [default: all that is
    /// free].
    #[arg(long, env = "MSAAS_TEMP_BYTES", value_name = "BYTES", value_parser = size)]
    pub temp_bytes: Option<u64>,
    /// Refuse songs that are longer than this many seconds.
    #[arg(long, env = "MSAAS_MAX_SECONDS", default_value_t = 7200.0, value_name = "SECONDS", value_parser = positive)]
    pub max_seconds: f64,
    /// Computing time of a span in seconds: what a crash costs at most.
    #[arg(long, env = "MSAAS_SPAN_SECONDS", default_value_t = 20.0, value_name = "SECONDS", value_parser = positive)]
    pub span_seconds: f64,
    /// Segments of a span, instead of what --span-seconds gives.
    #[arg(long, env = "MSAAS_SPAN_SEGMENTS", value_name = "N")]
    pub span_segments: Option<usize>,
    /// End when a task has done nothing for this many seconds: its device hangs.
    #[arg(long, env = "MSAAS_HUNG_AFTER", default_value_t = 300, value_name = "SECONDS")]
    pub hung_after: u64,
    /// When asked to end, go on with the task in hand for up to so many seconds where it ends within them; otherwise, and
    /// with 0, it goes back at the next segment. Whatever ends the process has to wait for longer.
    #[arg(long, env = "MSAAS_FINISH_WITHIN", default_value_t = 0, value_name = "SECONDS")]
    pub finish_within: u64,
    /// Look at all jobs that have not ended about every so many seconds: what the queue has lost begins again then.
    #[arg(long, env = "MSAAS_SWEEP_EVERY", default_value_t = 20, value_name = "SECONDS")]
    pub sweep_every: u64,
}

impl WorkerArgs {
    /// The network that is loaded at the start.
    #[must_use]
    pub fn model(&self) -> ModelName {
        self.model.clone().unwrap_or_else(ModelName::htdemucs)
    }

    /// The stems of a network that can be had here; none where it is not known.
    ///
    /// # Errors
    /// [`EngineError`] for a folder that cannot be used.
    pub fn stems_of(&self, model: &ModelName) -> Result<Option<Vec<String>>, EngineError> {
        let all = self.store()?.list()?;
        Ok(all.into_iter().find(|known| known.name == model.as_str()).map(|known| known.sources))
    }

    fn store(&self) -> Result<ModelStore, EngineError> {
        let dir = self.model_dir.clone().unwrap_or_else(models::default_dir);
        let config =
            StoreConfig { offline: self.offline, local: self.model_source.clone(), ..StoreConfig::new(dir) };
        Ok(ModelStore::open(config)?)
    }

    /// The worker that they describe. Loads nothing yet.
    ///
    /// # Errors
    /// [`EngineError`] for a device or a folder that cannot be used. The program has to begin with
    /// [`crate::decoder::if_asked`].
    pub fn worker(&self, ledger: Ledger) -> Result<Worker, EngineError> {
        let devices = Devices::named(&self.device, &self.kernels)?;
        tracing::info!("computing on {devices}");
        let devices = devices.all;
        let batch = if self.batch == 0 { devices[0].usual_batch() } else { usize::from(self.batch) };
        let threads = usize::from(self.threads);
        let engine = demucs::Settings { batch, threads, device_memory: self.device_memory };
        let engines = Engines::new(self.store()?, devices, engine);
        let settings = Settings {
            name: format!("{}.{}", common::telemetry::host(), std::process::id()),
            songs_at_once: usize::from(self.songs_at_once),
            model: self.model(),
            temp_dir: self.temp_dir.clone(),
            temp_bytes: self.temp_bytes,
            decoder: Some(this_program()),
            max_song_s: self.max_seconds,
            span_s: self.span_seconds,
            span_segments: self.span_segments,
            hung_after: Duration::from_secs(self.hung_after),
            finish_within: Duration::from_secs(self.finish_within),
            sweep_every: Duration::from_secs(self.sweep_every),
            ..Settings::default()
        };
        Ok(Worker::new(ledger, Arc::new(engines), settings))
    }
}

/// A number above 0 that has an end.
///
/// # Errors
/// A sentence for anything else.
pub fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number.is_finite() && number > 0.0 {
        Ok(number)
    } else {
        Err("not above 0, or without an end".to_owned())
    }
}

/// The program that runs, even after its file was replaced by a newer one.
fn this_program() -> PathBuf {
    if cfg!(target_os = "linux") {
        return PathBuf::from("/proc/self/exe");
    }
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("worker"))
}
