//! The JSON object of the older contract, read as it comes: its member `mp3` becomes bytes, the others are kept.

use serde::de::DeserializeOwned;

use super::base64::{Decoder, NotBase64};
use crate::error::{Code, Problem};
use crate::request::parse;

/// Bytes of all members but `mp3`, their names included.
const MAX_OTHERS_BYTES: usize = 1 << 20;

/// Longest name of a member, as it is written.
const MAX_NAME_BYTES: usize = 256;

/// A scanner for one JSON object. Nothing of `mp3` is kept.
#[derive(Debug, Default)]
pub(crate) struct Envelope {
    at: At,
    /// The name of a member as it is written, with its quotes.
    name: Vec<u8>,
    /// The members but `mp3`, as one JSON object.
    others: Vec<u8>,
    has_song: bool,
    decoder: Decoder,
}

/// Where in the object the next byte stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    Start,
    /// Before a name; `true` where the object may end.
    Name(bool),
    InName {
        escaped: bool,
    },
    Colon,
    Value,
    /// Inside the base64 text.
    Song,
    /// After a backslash in it, and how many of the four digits of `\u` have been read, with their value.
    Escape,
    Unicode(u8, u16),
    /// Inside another member.
    Other {
        depth: u32,
        quoted: bool,
        escaped: bool,
    },
    After,
    End,
}

impl Envelope {
    /// Takes the next piece of the text; appends what it holds of the song to `song`.
    pub(crate) fn push(&mut self, text: &[u8], song: &mut Vec<u8>) -> Result<(), Problem> {
        let mut rest = text;
        while let Some(&byte) = rest.first() {
            if self.at == At::Song {
                let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(rest.len());
                self.decoder.push(&rest[..plain], song)?;
                rest = &rest[plain..];
                match rest.first() {
                    Some(b'"') => {
                        self.decoder.end(song)?;
                        self.at = At::After;
                    }
                    Some(_) => self.at = At::Escape,
                    None => return Ok(()),
                }
                rest = &rest[1..];
                continue;
            }
            rest = &rest[1..];
            self.at = self.step(byte, song)?;
        }
        Ok(())
    }

    fn step(&mut self, byte: u8, song: &mut Vec<u8>) -> Result<At, Problem> {
        let space = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        Ok(match (self.at, byte) {
            (At::Start | At::Name(_) | At::Colon | At::Value | At::After | At::End, _) if space => self.at,
            (At::Start, b'{') => At::Name(true),
            (At::Name(_), b'"') => {
                self.name.clear();
                self.name.push(byte);
                At::InName { escaped: false }
            }
            (At::InName { escaped }, _) => {
                self.name.push(byte);
                if self.name.len() > MAX_NAME_BYTES {
                    return Err(malformed("a name in the JSON object is too long"));
                }
                match (escaped, byte) {
                    (false, b'"') => At::Colon,
                    (false, b'\\') => At::InName { escaped: true },
                    _ => At::InName { escaped: false },
                }
            }
            (At::Colon, b':') => At::Value,
            (At::Value, _) if self.is_song()? => {
                if byte != b'"' {
                    return Err(Problem::new(Code::InvalidRequest, "mp3 is not a text").param("mp3"));
                }
                if std::mem::replace(&mut self.has_song, true) {
                    return Err(Problem::new(Code::InvalidRequest, "mp3 stands there twice").param("mp3"));
                }
                At::Song
            }
            (At::Value, _) => {
                self.keep(if self.others.is_empty() { b"{" } else { b"," })?;
                let name = std::mem::take(&mut self.name);
                self.keep(&name)?;
                self.keep(b":")?;
                self.other(byte, 0, false, false)?
            }
            (At::Other { depth, quoted, escaped }, _) => self.other(byte, depth, quoted, escaped)?,
            (At::Escape, _) => self.escape(byte, song)?,
            (At::Unicode(read, value), _) => self.unicode(byte, read, value, song)?,
            (At::After, b',') => At::Name(false),
            (At::Name(true) | At::After, b'}') => At::End,
            _ => return Err(malformed("the body is not one JSON object")),
        })
    }

    fn is_song(&self) -> Result<bool, Problem> {
        // Written with escapes it is the same name.
        Ok(parse::<String>(&self.name)? == "mp3")
    }

    /// One byte of another member: kept until the comma or brace behind it.
    fn other(&mut self, byte: u8, depth: u32, quoted: bool, escaped: bool) -> Result<At, Problem> {
        if !quoted && depth == 0 && matches!(byte, b',' | b'}') {
            return Ok(if byte == b',' { At::Name(false) } else { At::End });
        }
        self.keep(&[byte])?;
        let (depth, quoted, escaped) = match byte {
            _ if escaped => (depth, quoted, false),
            b'\\' if quoted => (depth, quoted, true),
            b'"' => (depth, !quoted, false),
            b'{' | b'[' if !quoted => (depth + 1, quoted, false),
            b'}' | b']' if !quoted => {
                (depth.checked_sub(1).ok_or_else(|| malformed("a bracket has no partner"))?, quoted, false)
            }
            _ => (depth, quoted, false),
        };
        Ok(At::Other { depth, quoted, escaped })
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        if self.others.len() + bytes.len() > MAX_OTHERS_BYTES {
            return Err(Problem::new(Code::TooLarge, "what stands beside mp3 is larger than 1 MiB"));
        }
        self.others.extend_from_slice(bytes);
        Ok(())
    }

    fn escape(&mut self, byte: u8, song: &mut Vec<u8>) -> Result<At, Problem> {
        let meant = match byte {
            b'u' => return Ok(At::Unicode(0, 0)),
            b'/' => b'/',
            b'n' | b'r' | b't' => b'\n',
            _ => return Err(NotBase64.into()),
        };
        self.decoder.push(&[meant], song)?;
        Ok(At::Song)
    }

    fn unicode(&mut self, byte: u8, read: u8, value: u16, song: &mut Vec<u8>) -> Result<At, Problem> {
        let digit = (byte as char).to_digit(16).ok_or(NotBase64)?;
        let value = value << 4 | digit as u16;
        if read < 3 {
            return Ok(At::Unicode(read + 1, value));
        }
        let meant = u8::try_from(value).map_err(|_| NotBase64)?;
        self.decoder.push(&[meant], song)?;
        Ok(At::Song)
    }

    /// The text is at its end.
    pub(crate) fn end(&self) -> Result<(), Problem> {
        match (self.at, self.has_song) {
            (At::Start, _) => Err(Problem::new(Code::Empty, "the body is empty")),
            (At::End, true) => Ok(()),
            (At::End, false) => Err(Problem::new(Code::InvalidRequest, "mp3 is missing").param("mp3")),
            _ => Err(malformed("the JSON object has no end")),
        }
    }

    /// The members but `mp3`, after the end.
    pub(crate) fn others<T: DeserializeOwned>(mut self) -> Result<T, Problem> {
        self.keep(if self.others.is_empty() { b"{}" } else { b"}" })?;
        parse(&self.others)
    }
}

fn malformed(why: &str) -> Problem {
    Problem::new(Code::InvalidRequest, why)
}

impl From<NotBase64> for Problem {
    fn from(_: NotBase64) -> Self {
        Self::new(Code::InvalidRequest, "mp3 is not base64").param("mp3")
    }
}

#[cfg(test)]
mod tests {
    use ::base64::Engine as _;
    use ::base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn scan(text: &[u8], cut: usize) -> Result<(Vec<u8>, Value), String> {
        let (mut envelope, mut song) = (Envelope::default(), Vec::new());
        for piece in text.chunks(cut) {
            envelope.push(piece, &mut song).map_err(|problem| problem.detail().to_owned())?;
        }
        envelope.end().map_err(|problem| problem.detail().to_owned())?;
        Ok((song, envelope.others().map_err(|problem| problem.detail().to_owned())?))
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            "[\\\\\"{}\\[\\],:]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("\\PC{0,6}", inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn song_and_other_members_come_back_in_any_order_however_cut(
            song in prop::collection::vec(any::<u8>(), 0..200),
            before in prop::collection::btree_map("[a-l\"\\\\é]{1,6}", json_value(), 0..3),
            after in prop::collection::btree_map("[n-z]{1,6}", json_value(), 0..3),
            cut in 1usize..40,
            pretty in any::<bool>(),
            slashes in any::<bool>(),
        ) {
            let mut text = STANDARD.encode(&song);
            if slashes {
                text = text.replace('/', "\\/").replace('+', "\\u002B").replace('=', "\\u003d");
            }
            let gap = if pretty { "\n\t " } else { "" };
            let member = |(name, value): (&String, &Value)| format!("{gap}{}{gap}:{gap}{value}{gap}", json!(name));
            let members: Vec<String> = before.iter().map(member)
                .chain([format!("{gap}\"mp3\"{gap}:{gap}\"{text}\"{gap}")])
                .chain(after.iter().map(member)).collect();
            let whole = format!("{gap}{{{}}}{gap}", members.join(","));
            let mut others = before.clone();
            others.extend(after.clone());
            prop_assert_eq!(scan(whole.as_bytes(), cut), Ok((song, json!(others))));
        }

        #[test]
        fn no_bytes_upset_it(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 1usize..40) {
            scan(&bytes, cut).ok();
        }

        #[test]
        fn what_it_takes_is_json(text in "[{}\\[\\]\":,mp3A=\\\\ u0-]{0,24}", cut in 1usize..9) {
            let whole = format!("{{{text}}}");
            if scan(whole.as_bytes(), cut).is_ok() {
                let lenient = serde_json::from_str::<Value>(&whole);
                prop_assert!(lenient.is_ok(), "{whole}");
            }
        }
    }

    #[test]
    fn faults_have_sentences() {
        for (text, said) in [
            ("", "the body is empty"),
            ("null", "the body is not one JSON object"),
            ("{}", "mp3 is missing"),
            (r#"{"mp3": null}"#, "mp3 is not a text"),
            (r#"{"mp3": "AA=="#, "the JSON object has no end"),
            (r#"{"mp3": "A!"}"#, "mp3 is not base64"),
            (r#"{"mp3": "", "mp3": ""}"#, "mp3 stands there twice"),
            (r#"{"mp3": ""} x"#, "the body is not one JSON object"),
            (r#"{"mp3": "",}"#, "the body is not one JSON object"),
        ] {
            assert_eq!(scan(text.as_bytes(), 3), Err(said.to_owned()), "{text}");
        }
        assert_eq!(scan(br#"{"m\u0070\u0033": "AAAA"}"#, 1), Ok((vec![0, 0, 0], json!({}))));
    }

    #[test]
    fn what_stands_beside_the_song_is_bounded() {
        let text = format!(r#"{{"a": "{}", "mp3": ""}}"#, "x".repeat(2 << 20));
        assert_eq!(
            scan(text.as_bytes(), 1 << 16),
            Err("what stands beside mp3 is larger than 1 MiB".to_owned())
        );
    }
}
