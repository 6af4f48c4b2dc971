//! `msaas models`: the networks' weights.

use anyhow::{Result, ensure};
use models::{FetchEvent, Installed, ModelState, ModelStore, StoreConfig};

use crate::cli::{ModelsArgs, ModelsCommand, StoreArgs};
use crate::terminal::{self, Bar};

/// Runs the command.
pub(crate) fn run(args: ModelsArgs) -> Result<()> {
    let store = open(&args.store)?;
    match args.command {
        ModelsCommand::List => list(&store),
        ModelsCommand::Fetch { name, if_missing } => {
            let mut watcher = Watcher::new(false);
            let mut hear = |event: FetchEvent| watcher.hear(&event);
            let installed =
                if if_missing { store.ensure(&name, &mut hear)? } else { store.fetch(&name, &mut hear)? };
            drop(watcher);
            show(&installed)
        }
        ModelsCommand::Verify { name } => verify(&store, name),
        ModelsCommand::Import { file, name } => show(&store.import(&file, name.as_deref())?),
    }
}

/// Opens the store that the arguments describe.
pub(crate) fn open(args: &StoreArgs) -> Result<ModelStore> {
    let mut config = StoreConfig::new(args.model_dir.clone().unwrap_or_else(models::default_dir));
    config.offline = args.offline;
    config.local.clone_from(&args.model_source);
    Ok(ModelStore::open(config)?)
}

/// Shows people what happens while weights are fetched.
#[derive(Debug)]
pub(crate) struct Watcher {
    quiet: bool,
    bar: Option<Bar>,
}

const BAR: &str = "{prefix} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}";

impl Watcher {
    pub(crate) fn new(quiet: bool) -> Self {
        Self { quiet, bar: None }
    }

    pub(crate) fn hear(&mut self, event: &FetchEvent) {
        if let FetchEvent::Progress { bytes, total } = *event {
            let quiet = self.quiet;
            let bar = self.bar.get_or_insert_with(|| Bar::new("fetching weights", bytes, quiet, BAR));
            bar.go(bytes, total.unwrap_or(bytes), "");
            return;
        }
        self.bar = None;
        if !self.quiet {
            terminal::complain(&event.to_string());
        }
    }
}

fn list(store: &ModelStore) -> Result<()> {
    for model in store.list()? {
        let size: u64 = model.installed.iter().map(|member| member.size_bytes).sum();
        let state = match model.state {
            ModelState::Absent => "not installed".to_owned(),
            ModelState::Partial => format!("{} of {} networks", model.installed.len(), model.members),
            ModelState::Installed => format!("installed, {} MB", size / 1_000_000),
            ModelState::Damaged => "damaged, see `verify`".to_owned(),
        };
        terminal::print(&format!("{:16} {:24} {}", model.name, state, model.sources.join(", ")))?;
    }
    terminal::complain(&format!("in {}", store.config().dir.display()));
    Ok(())
}

fn verify(store: &ModelStore, name: Option<String>) -> Result<()> {
    let there = |state| matches!(state, ModelState::Installed | ModelState::Damaged);
    let installed = store.list()?.into_iter().filter(|model| there(model.state));
    let names: Vec<String> =
        name.map_or_else(|| installed.map(|model| model.name).collect(), |name| vec![name]);
    ensure!(!names.is_empty(), "no network is installed in {}", store.config().dir.display());
    for name in names {
        show(&store.verify(&name)?)?;
    }
    Ok(())
}

fn show(installed: &Installed) -> Result<()> {
    for member in &installed.members {
        terminal::print(&format!(
            "{}: {} ok, {} tensors, {} parameters, fingerprint {}",
            installed.name, member.signature, member.tensors, member.parameters, member.fingerprint
        ))?;
    }
    Ok(())
}
