//! Base64 text to bytes, piece by piece.

/// What is wrong with a text that is no base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotBase64;

/// Decodes the standard alphabet (RFC 4648, 4) however the text is cut into pieces. Line breaks, spaces and tabs
/// between digits mean nothing; padding ends the text, and may be left out.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// Digits that wait for the rest of their four, and how many there are.
    bits: u32,
    digits: u8,
    padding: u8,
}

/// Value of each digit; the marks below for what is none.
const VALUES: [u8; 256] = values();
const NONE: u8 = 0xff;
const SPACE: u8 = 0xfe;
const PADDING: u8 = 0xfd;

const fn values() -> [u8; 256] {
    let alphabet = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut values = [NONE; 256];
    let mut i = 0;
    while i < alphabet.len() {
        values[alphabet[i] as usize] = i as u8;
        i += 1;
    }
    values[b' ' as usize] = SPACE;
    values[b'\t' as usize] = SPACE;
    values[b'\r' as usize] = SPACE;
    values[b'\n' as usize] = SPACE;
    values[b'=' as usize] = PADDING;
    values
}

impl Decoder {
    /// Appends the bytes of the next piece to `out`.
    pub(crate) fn push(&mut self, text: &[u8], out: &mut Vec<u8>) -> Result<(), NotBase64> {
        let mut text = text;
        while let Some((&digit, rest)) = text.split_first() {
            // Four digits at a time where they are aligned.
            if self.digits == 0 && self.padding == 0 {
                let (fours, _) = text.as_chunks::<4>();
                let whole = fours.iter().take_while(|four| Self::four(**four, out)).count();
                if whole > 0 {
                    text = &text[whole * 4..];
                    continue;
                }
            }
            text = rest;
            match VALUES[usize::from(digit)] {
                SPACE => {}
                PADDING => self.padding += 1,
                NONE => return Err(NotBase64),
                _ if self.padding > 0 => return Err(NotBase64),
                value => {
                    self.bits = self.bits << 6 | u32::from(value);
                    self.digits += 1;
                    if self.digits == 4 {
                        out.extend_from_slice(&self.bits.to_be_bytes()[1..]);
                        (self.bits, self.digits) = (0, 0);
                    }
                }
            }
            if self.padding > 2 || self.padding > 0 && self.digits < 2 {
                return Err(NotBase64);
            }
        }
        Ok(())
    }

    fn four(four: [u8; 4], out: &mut Vec<u8>) -> bool {
        let values = four.map(|digit| VALUES[usize::from(digit)]);
        if values.iter().any(|value| *value > 63) {
            return false;
        }
        let bits = values.iter().fold(0, |bits, value| bits << 6 | u32::from(*value));
        out.extend_from_slice(&bits.to_be_bytes()[1..]);
        true
    }

    /// Appends the last bytes. Bits that belong to no byte are not looked at, as most decoders do.
    pub(crate) fn end(&mut self, out: &mut Vec<u8>) -> Result<(), NotBase64> {
        let padded = usize::from(self.digits) + usize::from(self.padding);
        if self.padding > 0 && padded != 4 {
            return Err(NotBase64);
        }
        match self.digits {
            0 => {}
            2 => out.push((self.bits >> 4) as u8),
            3 => out.extend_from_slice(&((self.bits >> 2) as u16).to_be_bytes()),
            _ => return Err(NotBase64),
        }
        *self = Self::default();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn decode(pieces: &[&[u8]]) -> Result<Vec<u8>, NotBase64> {
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.push(piece, &mut out)?;
        }
        decoder.end(&mut out)?;
        Ok(out)
    }

    proptest! {
        #[test]
        fn whatever_was_encoded_comes_back_however_it_is_cut(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            cut in 1usize..17,
            line in 1usize..90,
        ) {
            let text = STANDARD.encode(&bytes);
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
            prop_assert_eq!(decode(&pieces), Ok(bytes.clone()));
            prop_assert_eq!(decode(&[text.trim_end_matches('=').as_bytes()]), Ok(bytes.clone()));
            let lines: Vec<u8> = text.as_bytes().chunks(line).flat_map(|l| [l, b"\r\n"].concat()).collect();
            prop_assert_eq!(decode(&[&lines]), Ok(bytes));
        }

        #[test]
        fn what_is_no_base64_is_refused(text in "[A-Za-z0-9+/]{0,40}[!-*,.:-<>-@\\[-`{-~]", cut in 1usize..9) {
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
            prop_assert_eq!(decode(&pieces), Err(NotBase64));
        }
    }

    #[test]
    fn padding_stands_only_at_the_end() {
        for bad in ["=", "A", "A=", "AA=A", "AAA==", "AA===", "AAAA=", "AA==AA=="] {
            assert_eq!(decode(&[bad.as_bytes()]), Err(NotBase64), "{bad}");
        }
    }
}
