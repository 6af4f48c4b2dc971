/// The file formats that are recognised, by their bytes and never by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Container {
    /// MPEG audio layer III frames.
    Mp3,
    /// RIFF, RF64 or BW64 with a WAVE form.
    Wav,
    /// Native FLAC.
    Flac,
    /// Ogg pages, whatever codec they carry.
    Ogg,
    /// ISO base media: `.m4a`, `.mp4`, `.stem.mp4`, `.mov`.
    Mp4,
    /// AIFF or AIFF-C.
    Aiff,
    /// AAC frames with ADTS headers.
    Adts,
}

impl Container {
    /// Every container, in no order of importance.
    pub const ALL: [Self; 7] =
        [Self::Mp3, Self::Wav, Self::Flac, Self::Ogg, Self::Mp4, Self::Aiff, Self::Adts];

    /// Short lower-case name for messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mp3 => "mp3",
            Self::Wav => "wav",
            Self::Flac => "flac",
            Self::Ogg => "ogg",
            Self::Mp4 => "mp4",
            Self::Aiff => "aiff",
            Self::Adts => "aac",
        }
    }

    /// The usual file extension, without a dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "m4a",
            other => other.name(),
        }
    }

    /// The registered media type.
    #[must_use]
    pub fn mime(self) -> &'static str {
        match self {
            Self::Mp3 => "audio/mpeg",
            Self::Wav => "audio/wav",
            Self::Flac => "audio/flac",
            Self::Ogg => "audio/ogg",
            Self::Mp4 => "audio/mp4",
            Self::Aiff => "audio/aiff",
            Self::Adts => "audio/aac",
        }
    }
}
