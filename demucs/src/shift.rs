//! The shift trick: separate shifted copies of the song and average.

use crate::seeded::splitmix;

/// By how much each pass over the song is shifted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Shifts {
    /// One pass, not shifted.
    #[default]
    Off,
    /// `count` passes of each network, their shifts drawn from the song's hash: the same song
    /// always gives the same stems.
    Drawn {
        /// Passes of each network.
        count: usize,
        /// The song's hash.
        seed: [u8; 32],
    },
    /// Given shifts in frames, one list for each network of the bag.
    Given(Vec<Vec<usize>>),
}

impl Shifts {
    /// Shifts of the passes of network `member`, each from 0 to `most` frames.
    #[must_use]
    pub fn of_member(&self, member: usize, most: usize) -> Vec<usize> {
        match self {
            Self::Off => vec![0],
            Self::Drawn { count, seed } => {
                (0..*count).map(|pass| draw(seed, (member as u64) << 32 | pass as u64, most)).collect()
            }
            Self::Given(shifts) => shifts.get(member).cloned().unwrap_or_default(),
        }
    }
}

/// A number from 0 to `most`, both included, that depends on all of the seed.
fn draw(seed: &[u8; 32], pass: u64, most: usize) -> usize {
    let mut state = splitmix(pass);
    for word in seed.as_chunks::<8>().0 {
        state = splitmix(state ^ u64::from_le_bytes(*word));
    }
    ((u128::from(state) * (most as u128 + 1)) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_song_always_draws_the_same_shifts_and_another_song_others() {
        let shifts = |byte| Shifts::Drawn { count: 3, seed: [byte; 32] }.of_member(1, 22_050);
        assert_eq!(shifts(1), shifts(1));
        assert_ne!(shifts(1), shifts(2));
        assert!(shifts(1).iter().all(|s| *s <= 22_050));
    }

    #[test]
    fn draws_cover_the_whole_range() {
        let drawn = Shifts::Drawn { count: 200, seed: [7; 32] }.of_member(0, 3);
        assert!((0..=3).all(|s| drawn.contains(&s)));
    }
}
