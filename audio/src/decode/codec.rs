//! The codecs, what they refuse, and the fence around foreign code.

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_AC3, CODEC_ID_EAC3, CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_OPUS, CODEC_ID_SPEEX,
    CODEC_ID_VORBIS,
};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as Fault;
use tags::Container;

use super::{MAX_CHANNELS, coupling};
use crate::{Error, Result};

/// A decoder for `params` and the codec's short name.
pub(super) fn make_decoder(
    container: Container,
    params: &AudioCodecParameters,
) -> Result<(Box<dyn AudioDecoder>, String)> {
    let mut params = params.clone();
    let channels = params.channels.as_ref().map_or(1, Channels::count);
    if !(1..=MAX_CHANNELS).contains(&channels) {
        return Err(Error::Channels { channels, max: MAX_CHANNELS });
    }
    if let Some(headers) =
        params.extra_data.as_mut().filter(|_| params.codec == CODEC_ID_VORBIS && channels > 2)
    {
        // Broken headers are the decoder's to refuse.
        let _ = coupling::reverse(headers);
    }
    // The trimming of MP3 is ours: it depends on how many frames come in all.
    let options = AudioDecoderOptions::default().gapless(container != Container::Mp3);
    let made = guard(container, || symphonia::default::get_codecs().make_audio_decoder(&params, &options))?;
    let decoder = made.map_err(|fault| match fault {
        Fault::Unsupported(_) => {
            Error::Unsupported { container: container.name(), reason: refusal(params.codec) }
        }
        other => read_error(container, &other),
    })?;
    let codec = decoder.codec_info().short_name.to_owned();
    Ok((decoder, codec))
}

/// What is not decoded, in words.
fn refusal(codec: AudioCodecId) -> String {
    let name = match codec {
        CODEC_ID_AAC => "aac of more than two channels or of another profile than low complexity",
        CODEC_ID_AC3 | CODEC_ID_EAC3 => "dolby digital",
        CODEC_ID_MP1 | CODEC_ID_MP2 => "mpeg audio layer i or ii",
        CODEC_ID_OPUS => "opus",
        CODEC_ID_SPEEX => "speex",
        other => return format!("codec {other}"),
    };
    name.to_owned()
}

/// A reader's error in our words.
pub(super) fn read_error(container: Container, fault: &Fault) -> Error {
    let reason = match fault {
        Fault::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => "it ends before its audio",
        Fault::Unsupported(reason) if reason.contains("missing moov") => {
            "its index is missing, as in a file that is cut short"
        }
        // They start with the name of the format.
        Fault::Unsupported(reason) | Fault::DecodeError(reason) | Fault::LimitError(reason) => {
            reason.split_once(": ").map_or(*reason, |(_, reason)| reason)
        }
        other => {
            return Error::Demux { container: container.name(), reason: other.to_string().to_lowercase() };
        }
    };
    Error::Demux { container: container.name(), reason: reason.to_lowercase() }
}

/// Runs foreign code over hostile bytes: a panic in it is an error of the file.
pub(super) fn guard<T>(container: Container, work: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Error::Panicked { container: container.name() })
}
