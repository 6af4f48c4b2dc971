use std::sync::Arc;

/// Hears of every block that is encoded, from any thread: whoever has to show that work goes on gives one.
#[derive(Clone, Default)]
pub struct Pulse(Option<Arc<dyn Fn() + Send + Sync>>);

impl Pulse {
    /// One that calls `heard`.
    pub fn new(heard: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(heard)))
    }

    /// Says that a block is done.
    pub(crate) fn beat(&self) {
        if let Some(heard) = &self.0 {
            heard();
        }
    }
}

impl std::fmt::Debug for Pulse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pulse").field(&self.0.is_some()).finish()
    }
}
