use symphonia::core::audio::{Channels, Position};

use crate::Block;

/// Indices of the front left and the front right channel; equal for mono.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Front {
    /// Index of front left.
    pub left: usize,
    /// Index of front right.
    pub right: usize,
}

impl Front {
    /// By position where the layout names positions, else the first two.
    pub(crate) fn of(channels: &Channels) -> Self {
        let named = |position| match channels {
            Channels::Positioned(mask) if mask.contains(position) => {
                channels.get_canonical_index_for_positioned_channel(position)
            }
            _ => None,
        };
        match named(Position::FRONT_LEFT).zip(named(Position::FRONT_RIGHT)) {
            Some((left, right)) => Self { left, right },
            None => Self { left: 0, right: channels.count().saturating_sub(1).min(1) },
        }
    }
}

/// Two channels `[2][frames]` of any number: mono duplicated, of more the two front ones.
///
/// Indices beyond the block's channels count as its last channel; a block without channels stays without
/// frames.
#[must_use]
pub fn stereo(mut block: Block, front: Front) -> Block {
    let last = block.len().saturating_sub(1);
    let (left, right) = (front.left.min(last), front.right.min(last));
    match block.len() {
        0 => vec![Vec::new(); 2],
        2 if (left, right) == (0, 1) => block,
        _ if left == right => vec![block[left].clone(), block.swap_remove(left)],
        _ => vec![std::mem::take(&mut block[left]), std::mem::take(&mut block[right])],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn front_channels_are_found_by_position() {
        let surround = Position::FRONT_LEFT | Position::FRONT_CENTER | Position::FRONT_RIGHT | Position::LFE1;
        assert_eq!(Front::of(&Channels::Positioned(surround)), Front { left: 0, right: 1 });
        let odd = Position::FRONT_CENTER | Position::LFE1;
        assert_eq!(Front::of(&Channels::Positioned(odd)), Front { left: 0, right: 1 });
        assert_eq!(Front::of(&Channels::Discrete(1)), Front { left: 0, right: 0 });
    }

    #[test]
    fn every_channel_count_becomes_two() {
        let block = |n: usize| (0..n).map(|i| vec![i as f32; 3]).collect::<Block>();
        let front = |left, right| Front { left, right };
        assert_eq!(stereo(block(1), front(0, 0)), [[0.0; 3]; 2]);
        assert_eq!(stereo(block(2), front(0, 1)), [[0.0; 3], [1.0; 3]]);
        assert_eq!(stereo(block(6), front(0, 2)), [[0.0; 3], [2.0; 3]]);
        assert_eq!(stereo(block(1), front(0, 1)), [[0.0; 3]; 2]);
        assert_eq!(stereo(block(0), front(0, 1)), [[0.0; 0]; 2]);
    }
}
