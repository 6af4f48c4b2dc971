//! What nvcc made of the kernels.

/// Code for several kinds of cards, where a driver can read it.
#[derive(Debug)]
#[repr(C, align(16))]
pub(super) struct Image<T: ?Sized>(pub(super) T);

#[derive(Debug)]
pub(super) struct Module {
    pub(super) image: &'static Image<[u8]>,
    pub(super) kernels: &'static [Kernel],
}

#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) name: &'static str,
    pub(super) args: usize,
    pub(super) threads: u32,
}

/// The kernel of that name, and which of the modules has it.
pub(super) fn find(name: &str) -> Option<(usize, &'static Kernel)> {
    let mut all = MODULES
        .iter()
        .enumerate()
        .flat_map(|(i, module)| module.kernels.iter().map(move |kernel| (i, kernel)));
    all.find(|(_, kernel)| kernel.name == name)
}

include!(concat!(env!("OUT_DIR"), "/modules.rs"));
