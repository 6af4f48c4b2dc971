//! What is launched, for any number of segments. Grids and shared memory are as the kernels' sources say.

use std::borrow::Cow;

use super::arguments::{
    Analyze, Arguments, Attention, LayerNorm, Moments, NormGelu, Overlap, Product, SamplesIn, SpectrumIn,
    Sums, Synthesize,
};
use super::sequence::Launch;

/// What happens to the columns of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    Store,
    StoreFloat,
    Gelu,
    GeluAdd,
    Add,
    AddFloat,
    AddFloatSums,
    StoreSums,
    Glu,
    NormGlu,
}

impl Finish {
    fn name(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::StoreFloat => "store_float",
            Self::Gelu => "gelu",
            Self::GeluAdd => "gelu_add",
            Self::Add => "add",
            Self::AddFloat => "add_float",
            Self::AddFloatSums => "add_float_sums",
            Self::StoreSums => "store_sums",
            Self::Glu => "glu",
            Self::NormGlu => "norm_glu",
        }
    }

    /// Whether tiles of tokens are of one group: elsewhere all tokens of a batch are one.
    pub(super) fn knows_groups(self) -> bool {
        matches!(self, Self::AddFloatSums | Self::StoreSums | Self::NormGlu)
    }
}

/// Tokens of a tile, of a product and before one.
pub(super) const TILE: usize = 128;

/// Tokens of a tile whose sums are so long that operands take the time: with twice the tokens, columns are read half as often.
const LONG_TILE: usize = 256;
/// Values of a sum from which on that is so, and blocks that a card is to have then: about two for each multiprocessor.
const LONG: (i32, usize) = (768, 264);

/// Tokens of a product's tile. It depends on the batch, since no bit of what is stored depends on it: but sums of that do,
/// which are taken tile by tile, so it does not where there are any.
pub(super) fn tile_tokens(args: &Product, finish: Finish, half: bool) -> usize {
    let columns = args.columns as usize;
    let tile = tile_columns(columns);
    let long = half
        && tile >= 96
        && args.k >= LONG.0
        && matches!(finish, Finish::Gelu | Finish::GeluAdd | Finish::Glu | Finish::AddFloatSums);
    let tiles = args.groups as usize * (args.group_tokens as usize).div_ceil(LONG_TILE);
    let many = finish == Finish::AddFloatSums || tiles * columns.div_ceil(tile) >= LONG.1;
    if long && many { LONG_TILE } else { TILE }
}

/// Columns of a tile, of those that there are: the widest among those that compute the least in vain.
pub(super) fn tile_columns(columns: usize) -> usize {
    let in_vain = |tile: &usize| columns.next_multiple_of(*tile);
    [128, 96, 64, 48, 32, 16].into_iter().min_by_key(in_vain).unwrap_or(16)
}

/// One kernel with its arguments for a batch of one; what has to know how many there are is set when it is launched.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Product(Product, Finish),
    Attention(Attention, usize),
    LayerNorm(LayerNorm, bool),
    Moments(Moments),
    NormGelu(NormGelu),
    /// Of samples, `groups` of a segment; they lie where the batch came to.
    Sums(Sums),
    Analyze(Analyze),
    SpectrumIn(SpectrumIn),
    SamplesIn(SamplesIn),
    Synthesize(Synthesize),
    Overlap(Overlap),
}

/// One of the places where batches come to and leave from, so that one is copied while another is computed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) mix: u64,
    pub(super) out: u64,
}

impl Step {
    /// The kernel's launch for a batch in a slot. `half` is the type of activations.
    pub(super) fn launch(&self, batch: usize, slot: Slot, half: bool) -> Launch {
        let kind = if half { "f16" } else { "f32" };
        let b = batch as i32;
        match self {
            Self::Product(args, finish) => product(*args, *finish, batch, half),
            Self::Attention(args, head) => {
                let (queries, padding) = if half { (128, 8) } else { (64, 6) };
                let tiles = (args.query_tokens as usize).div_ceil(queries);
                let grid = [tiles, args.heads as usize, batch];
                launch(format!("attention_{kind}_{head}"), grid, 512 * (head + padding), *args)
            }
            Self::LayerNorm(args, to_float) => {
                let args = LayerNorm { batch: b, ..*args };
                let kind = if *to_float { "float" } else { kind };
                let blocks = (batch * args.tokens as usize).div_ceil(8);
                launch(format!("layer_norm_{kind}"), [blocks, 1, 1], 0, args)
            }
            Self::Moments(args) => {
                let args = Moments { groups: b * args.groups, ..*args };
                launch("moments", [args.groups as usize, 1, 1], 128, args)
            }
            Self::NormGelu(args) => {
                let args = NormGelu { groups: b * args.groups, ..*args };
                let tiles = (args.group_tokens as usize).div_ceil(TILE) * args.groups as usize;
                let shared = 512 * (args.width as usize + 4);
                launch(format!("norm_gelu_{kind}"), [tiles, 1, 1], shared, args)
            }
            Self::Sums(args) => {
                let args = Sums { values: slot.mix, groups: b * args.groups, ..*args };
                launch("sums", [args.parts as usize, args.groups as usize, 1], 128, args)
            }
            Self::Analyze(args) => {
                let args = Analyze { mix: slot.mix, batch: b, ..*args };
                launch("analyze", [args.frames as usize, batch, 1], 8 * args.nfft as usize, args)
            }
            Self::SpectrumIn(args) => {
                let args = SpectrumIn { batch: b, ..*args };
                let blocks = (args.to.tokens as usize * args.stride as usize).div_ceil(THREADS);
                launch(format!("spectrum_in_{kind}"), [blocks, args.to.rows as usize, batch], 0, args)
            }
            Self::SamplesIn(args) => {
                let args = SamplesIn { mix: slot.mix, batch: b, ..*args };
                let blocks = (args.samples as usize).div_ceil(THREADS);
                launch(format!("samples_in_{kind}"), [blocks, batch, 1], 0, args)
            }
            Self::Synthesize(args) => {
                let args = Synthesize { batch: b, ..*args };
                let grid = [args.sources as usize, args.from.tokens as usize, batch];
                launch("synthesize", grid, 8 * args.nfft as usize, args)
            }
            Self::Overlap(args) => {
                let args = Overlap { output: slot.out, batch: b, ..*args };
                launch("overlap", [(args.samples as usize).div_ceil(THREADS), batch, 1], 0, args)
            }
        }
    }
}

fn product(mut args: Product, finish: Finish, batch: usize, half: bool) -> Launch {
    let tokens = batch * (args.from.rows * args.from.tokens) as usize;
    args.batch = batch as i32;
    if !finish.knows_groups() {
        args.group_tokens = tokens as i32;
    }
    args.groups = (tokens / args.group_tokens as usize) as i32;
    let tile = tile_tokens(&args, finish, half);
    tiled(args, finish, half, tile)
}

/// The launch of a product in tiles of so many tokens.
pub(super) fn tiled(args: Product, finish: Finish, half: bool, tokens: usize) -> Launch {
    let columns = tile_columns(args.columns as usize);
    let tiles = (args.group_tokens as usize).div_ceil(tokens) * args.groups as usize;
    let blocks = tiles * (args.columns as usize).div_ceil(columns);
    let kind = if half { "f16" } else { "f32" };
    let name = format!("product_{kind}_{tokens}x{columns}_{}", finish.name());
    // Four slices of 64 bytes of each of its tokens and columns, and what is known ahead.
    launch(name, [blocks, 1, 1], 256 * (tokens + columns) + 16 * (tokens + 1), args)
}

/// Threads of the blocks that take a sample or a bin each.
const THREADS: usize = 256;

fn launch(
    kernel: impl Into<Cow<'static, str>>,
    grid: [usize; 3],
    shared: usize,
    args: impl Arguments + 'static,
) -> Launch {
    let grid = grid.map(|blocks| blocks as u32);
    Launch { kernel: kernel.into(), grid, shared: shared as u32, args: Box::new(args) }
}
