//! The wire format of Protocol Buffers, as far as an exported graph needs it: fields borrowed from the file.
//!
//! A generated decoder builds the whole message in memory, where a few bytes of a hostile file become many; here
//! nothing is allocated. Source: protobuf.dev, "Encoding".

/// One field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field<'a> {
    Varint(u64),
    Fixed64,
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

/// The fields of a message in order, each with its number. After `Err` there are no more.
pub(super) struct Fields<'a>(&'a [u8]);

/// The message ends in the middle of a field, or a field is of no known kind.
#[derive(Debug)]
pub(super) struct Malformed;

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn field(&mut self) -> Result<(u64, Field<'a>), Malformed> {
        let key = self.varint()?;
        let field = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Field::Fixed64
            }
            2 => {
                let length = self.varint()?;
                Field::Bytes(self.take(usize::try_from(length).map_err(|_| Malformed)?)?)
            }
            5 => Field::Fixed32(self.take(4)?.try_into().map_err(|_| Malformed)?),
            _ => return Err(Malformed),
        };
        Ok((key >> 3, field))
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(Malformed)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// The numbers of a packed field.
pub(super) fn packed(bytes: &[u8]) -> impl Iterator<Item = Result<u64, Malformed>> {
    let mut rest = Fields(bytes);
    std::iter::from_fn(move || (!rest.0.is_empty()).then(|| rest.varint()))
}
