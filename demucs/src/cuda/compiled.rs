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

include!(concat!(env!("OUT_DIR"), "/modules.rs"));
