//! Chance that repeats.

/// A generator of numbers. Source: `SplitMix64`, Steele, Lea, Flood, 2014.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`, 0 where that is 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// Whether it happens, in so many of a hundred cases.
    pub(super) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(super) fn pick<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// Texts that have been trouble somewhere.
const HOSTILE: &[&str] = &[
    "",
    " ",
    "0",
    "-1",
    "1e309",
    "NaN",
    "18446744073709551616",
    "99999999999999999999999999999999",
    "true",
    "null",
    "[]",
    "{}",
    "\0",
    "a\0b",
    "../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "..\\..\\windows",
    "/",
    ".",
    "..",
    "%",
    "%00",
    "%zz",
    "é\u{202e}😀\u{feff}",
    "\r\nX-Injected: 1",
    "' OR 1=1 --",
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
    ",,,:::,,,",
    "=",
    "a=b=c",
    "http://169.254.169.254/",
];

/// One of them, or a very long one.
pub(super) fn hostile(dice: &mut Dice) -> String {
    if dice.percent(5) { "x".repeat(1 + dice.below(6000)) } else { dice.pick(HOSTILE).to_owned() }
}
