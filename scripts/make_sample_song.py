#!/usr/bin/env python3
"""Renders the sample songs of `data/`, a short one and a longer one, with their true stems.

    make_sample_song.py --out data

Needs the programs fluidsynth, espeak-ng and lame, the General MIDI soundfont FluidR3 (MIT licence;
Debian: `apt-get install fluidsynth fluid-soundfont-gm espeak-ng lame`) and the packages numpy,
soundfile and mido. The same versions of these give the same bytes.

Melody, words and picture are our own. The instruments come from fluidsynth, one file per stem. The
voice is a vocoder: espeak-ng says each word, the spectral envelope of that is stretched over the
note, and a pulse train at the pitch of the note is sent through it. The mixture is the exact sum of
the 16-bit stems. The longer song is made so that its stems take little space: without a room, only the
guitar aside, and in coarser steps; these very stems are summed.
"""

import argparse
import functools
import struct
import subprocess
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import mido
import numpy as np
import soundfile

RATE = 44100
BEAT_S = 0.6
BAR_BEATS = 4
TAIL_S = 1.2
TICKS = 480
PEAK = 0.89
TITLE, ARTIST, ALBUM = "Slow Stream Home", "The Copper Herons", "MSaaS samples"
STEM_GAIN = {"drums": 0.9, "bass": 1.0, "other": 0.9, "vocals": 1.0}
"""Loudness of each stem, as a multiple of a common RMS."""


@dataclass(frozen=True)
class Note:
    """A note: start and length in beats, MIDI pitch and velocity."""

    start: float
    beats: float
    pitch: int
    velocity: int = 90


@dataclass(frozen=True)
class Part:
    """The notes of one MIDI instrument; `pan` from 0 (left) to 127 (right)."""

    program: int
    notes: list[Note]
    channel: int = 0
    pan: int = 64


@dataclass(frozen=True)
class Word:
    """A sung word: start and length in beats, MIDI pitch."""

    start: float
    beats: float
    pitch: int
    text: str


BAND = ("drums", "bass", "keys", "guitar")


@dataclass(frozen=True)
class Section:
    """Four bars: what is sung (a key of `WORDS`, or nothing) and which instruments play."""

    words: str | None = None
    playing: tuple[str, ...] = BAND


@dataclass(frozen=True)
class Song:
    """An arrangement: sections, then one closing bar.

    The stems of a `compact` one take little space: no room around the instruments, everything but the
    guitar in the middle, all samples multiples of `COMPACT_STEP`.
    """

    name: str
    sections: tuple[Section, ...]
    bitrate_kbit: int
    compact: bool = False

    @property
    def bars(self) -> int:
        """Number of bars, with the closing one."""
        return SECTION_BARS * len(self.sections) + 1

    def bars_with(self, instrument: str) -> list[int]:
        """The bars in which `instrument` plays, without the closing one."""
        return [bar for bar in range(self.bars - 1) if instrument in self.sections[bar // SECTION_BARS].playing]

    @property
    def frames(self) -> int:
        """Length with the last sounds dying away, in frames."""
        return round((self.bars * BAR_BEATS * BEAT_S + TAIL_S) * RATE)


SONGS = [
    Song("short-sample", (Section("chorus"),), bitrate_kbit=256),
    Song(
        "sample",
        (
            Section(playing=("keys", "guitar")),
            Section("verse", ("bass", "keys")),
            Section("answer", ("drums", "bass", "keys")),
            Section("chorus"),
            Section(playing=("drums", "bass")),
            Section("verse", ("drums", "bass")),
            Section("answer", ("bass", "keys")),
            Section("chorus", ("drums", "bass", "keys")),
            Section("refrain", ("drums", "bass", "keys")),
            Section(playing=("guitar",)),
            Section("chorus", ("guitar",)),
            Section("refrain", ("bass", "keys")),
            Section("chorus"),
        ),
        bitrate_kbit=128,
        compact=True,
    ),
]
COMPACT_STEP = 32
"""In units of a 16-bit sample: what rounding leaves is 71 dB below full scale in each stem."""

# The score ---------------------------------------------------------------------------------------

SECTION_BARS = 4
CHORDS = [(50, (62, 65, 69, 72)), (46, (62, 65, 69, 74)), (41, (60, 65, 69, 72)), (48, (60, 64, 67, 74))]
"""Bass root and keys of the four bars of every section: Dm7, B flat maj7, F, C add9."""

WORDS = {
    "verse": [
        Word(0.5, 0.5, 62, "lamps"), Word(1, 0.5, 62, "on"), Word(1.5, 0.5, 64, "the"), Word(2, 1.5, 65, "quay"),
        Word(4.5, 0.5, 65, "go"), Word(5, 0.5, 64, "out"), Word(5.5, 0.5, 62, "one"), Word(6, 0.5, 60, "by"),
        Word(6.5, 1.3, 62, "one"), Word(8.5, 0.5, 60, "boats"), Word(9, 0.5, 65, "in"), Word(9.5, 0.5, 65, "the"),
        Word(10, 1.5, 69, "bay"), Word(12.5, 0.5, 67, "sleep"), Word(13, 0.5, 67, "till"), Word(13.5, 0.5, 65, "the"),
        Word(14, 1.8, 64, "sun"),
    ],
    "answer": [
        Word(0.5, 0.5, 62, "rain"), Word(1, 0.5, 62, "on"), Word(1.5, 0.5, 64, "the"), Word(2, 1.5, 69, "road"),
        Word(4.5, 0.5, 69, "and"), Word(5, 0.5, 67, "wind"), Word(5.5, 0.5, 65, "in"), Word(6, 0.5, 64, "the"),
        Word(6.5, 1.3, 65, "trees"), Word(8.5, 0.5, 65, "all"), Word(9, 0.5, 69, "that"), Word(9.5, 0.5, 69, "I"),
        Word(10, 1.5, 72, "know"), Word(12.5, 0.5, 72, "is"), Word(13, 0.5, 70, "the"), Word(13.5, 0.5, 69, "way"),
        Word(14, 0.5, 67, "to"), Word(14.5, 1.3, 67, "sea"),
    ],
    "chorus": [
        Word(0, 1.4, 69, "slow"), Word(1.5, 0.5, 67, "stream"), Word(2, 0.5, 65, "take"), Word(2.5, 0.5, 67, "me"),
        Word(3, 1.3, 69, "home"), Word(4.5, 0.5, 70, "past"), Word(5, 0.5, 69, "the"), Word(5.5, 0.9, 67, "lights"),
        Word(6.5, 0.5, 65, "and"), Word(7, 0.9, 62, "rain"), Word(8, 0.9, 69, "I"), Word(9, 0.5, 69, "will"),
        Word(9.5, 0.5, 72, "sing"), Word(10, 0.9, 72, "you"), Word(11, 1.2, 69, "there"), Word(12.5, 0.5, 67, "till"),
        Word(13, 0.5, 67, "the"), Word(13.5, 0.9, 64, "day"), Word(14.5, 1.4, 65, "comes"),
    ],
    "refrain": [
        Word(0, 1.4, 74, "slow"), Word(1.5, 0.5, 72, "stream"), Word(2, 0.5, 69, "take"), Word(2.5, 0.5, 67, "me"),
        Word(3, 1.3, 69, "home"), Word(4.5, 0.5, 70, "through"), Word(5, 0.5, 69, "the"), Word(5.5, 0.9, 67, "long"),
        Word(6.5, 0.5, 65, "dark"), Word(7, 0.9, 65, "night"), Word(8, 0.9, 69, "I"), Word(9, 0.5, 69, "will"),
        Word(9.5, 0.5, 72, "be"), Word(10, 0.9, 72, "there"), Word(11, 1.2, 74, "soon"), Word(12.5, 0.5, 72, "with"),
        Word(13, 0.5, 70, "the"), Word(13.5, 0.9, 67, "day"), Word(14.5, 1.4, 64, "light"),
    ],
}  # fmt: skip
CLOSING_WORD = Word(0, 3.2, 69, "home")


def words_of(song: Song) -> list[Word]:
    """The vocal line of `song`, starts in beats from its beginning."""
    words = []
    for index, section in enumerate(song.sections):
        first = SECTION_BARS * index * BAR_BEATS
        sung_here = WORDS[section.words] if section.words else []
        words += [Word(first + w.start, w.beats, w.pitch, w.text) for w in sung_here]
    closing = (song.bars - 1) * BAR_BEATS
    return [*words, Word(closing, CLOSING_WORD.beats, CLOSING_WORD.pitch, CLOSING_WORD.text)]


def drums_of(song: Song) -> list[Part]:
    """Kick, snare, hats and crash on the General MIDI drum channel."""
    kick, snare, hat, open_hat, crash = 36, 38, 42, 46, 49
    notes = [Note((song.bars - 1) * BAR_BEATS, 1, pitch, 100) for pitch in (kick, crash)]
    for bar in song.bars_with("drums"):
        beat = bar * BAR_BEATS
        notes += [Note(beat + k / 2, 0.2, hat, 78 if k % 2 == 0 else 58) for k in range(7)]
        notes.append(Note(beat + 3.5, 0.4, open_hat, 62))
        notes += [Note(beat + at, 0.2, kick, 108) for at in (0, 1.75, 2.5)]
        notes += [Note(beat + at, 0.2, snare, 102) for at in (1, 3)]
        if bar % SECTION_BARS == 0:
            notes.append(Note(beat, 1, crash, 84))
        if bar % SECTION_BARS == 3:
            notes += [Note(beat + 3.25 + k / 4, 0.2, pitch, 92) for k, pitch in enumerate((48, 45, 41))]
    return [Part(0, notes, channel=9)]


def bass_of(song: Song) -> list[Part]:
    """A fingered bass: root, fifth and octave."""
    notes = [Note((song.bars - 1) * BAR_BEATS, 3.5, CHORDS[0][0] - 12, 96)]
    for bar in song.bars_with("bass"):
        root = CHORDS[bar % len(CHORDS)][0] - (12 if CHORDS[bar % len(CHORDS)][0] > 45 else 0)
        steps = [(0, 0.9, 0), (1, 0.45, 0), (1.75, 0.5, 12), (2.5, 0.45, 0), (3, 0.45, 7), (3.5, 0.45, 12)]
        notes += [Note(bar * BAR_BEATS + at, beats, root + up, 100) for at, beats, up in steps]
    return [Part(33, notes)]


def other_of(song: Song) -> list[Part]:
    """Electric piano chords on the left, a steel guitar that picks them on the right."""
    keys = [Note((song.bars - 1) * BAR_BEATS, 3.6, pitch, 80) for pitch in CHORDS[0][1]]
    for bar in song.bars_with("keys"):
        beat, chord = bar * BAR_BEATS, CHORDS[bar % len(CHORDS)][1]
        keys += [Note(beat + at, beats, pitch, 74) for at, beats in ((0, 1.4), (1.5, 2.3)) for pitch in chord]
    guitar = []
    for bar in song.bars_with("guitar"):
        beat, chord = bar * BAR_BEATS, CHORDS[bar % len(CHORDS)][1]
        guitar += [Note(beat + k / 2, 0.9, chord[(0, 2, 1, 3)[k % 4]], 76 - 8 * (k % 2)) for k in range(8)]
    return [Part(4, keys, channel=0, pan=64 if song.compact else 44), Part(25, guitar, channel=1, pan=88)]


# Instruments -------------------------------------------------------------------------------------


def midi_file(parts: list[Part]) -> mido.MidiFile:
    """`parts` as a Standard MIDI File, one track each."""
    midi = mido.MidiFile(ticks_per_beat=TICKS)
    for part in parts:
        track = mido.MidiTrack()
        midi.tracks.append(track)
        track.append(mido.MetaMessage("set_tempo", tempo=round(BEAT_S * 1e6)))
        track.append(mido.Message("program_change", channel=part.channel, program=part.program))
        track.append(mido.Message("control_change", channel=part.channel, control=10, value=part.pan))
        events = [(round(n.start * TICKS), "note_on", n.pitch, n.velocity) for n in part.notes]
        events += [(round((n.start + n.beats) * TICKS), "note_off", n.pitch, 0) for n in part.notes]
        now = 0
        for at, kind, pitch, velocity in sorted(events):
            track.append(mido.Message(kind, channel=part.channel, note=pitch, velocity=velocity, time=at - now))
            now = at
    return midi


def render(parts: list[Part], song: Song, soundfont: Path) -> np.ndarray:
    """`parts` of `song` played by fluidsynth, f64 `[frames, 2]`."""
    with tempfile.TemporaryDirectory() as folder:
        score, wave = Path(folder, "score.mid"), Path(folder, "score.wav")
        midi_file(parts).save(score)
        room = "0" if song.compact else "1"
        options = ["-ni", "-q", "-g", "0.5", "-r", str(RATE), "-R", room, "-C", "0", "-O", "float"]
        subprocess.run(["fluidsynth", *options, "-F", wave, soundfont, score], check=True, capture_output=True)
        samples, _ = soundfile.read(wave, always_2d=True)
    return faded(fitted(samples, song.frames))


def fitted(samples: np.ndarray, frames: int) -> np.ndarray:
    """`samples` cut or extended by silence to `frames`."""
    return np.pad(samples[:frames], ((0, max(0, frames - len(samples))), (0, 0)))


def faded(samples: np.ndarray) -> np.ndarray:
    """`samples` with the last half of the tail faded out."""
    fade = round(TAIL_S / 2 * RATE)
    return np.concatenate([samples[:-fade], samples[-fade:] * np.linspace(1, 0, fade)[:, None]])


# The voice ---------------------------------------------------------------------------------------

WINDOW, HOP, SPECTRUM = 1024, 256, 2048
ENVELOPE_COEFFICIENTS = 90
"""Cepstral coefficients kept: fewer than the shortest pitch period of espeak, so that its pitch is left out."""
HIGHEST_HARMONIC_HZ = 11000


@functools.cache
def spoken(text: str) -> tuple[np.ndarray, np.ndarray]:
    """What espeak-ng says: log envelopes `[T, SPECTRUM / 2 + 1]` and how voiced each frame is, 0..1 `[T]`."""
    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder, "word.wav")
        subprocess.run(["espeak-ng", "-v", "en-us+f2", "-s", "120", "-p", "45", "-w", wave, text], check=True)
        samples, rate = soundfile.read(wave)
    spectrum = np.fft.rfft(samples)
    samples = np.fft.irfft(spectrum, len(samples) * RATE // rate)
    loud = np.flatnonzero(np.abs(samples) > 0.01 * np.abs(samples).max())
    frames = framed(samples[loud[0] : loud[-1]])
    log_spectrum = np.log(np.abs(np.fft.rfft(frames, SPECTRUM)) + 1e-4)
    cepstrum = np.fft.irfft(log_spectrum, SPECTRUM)
    cepstrum[:, ENVELOPE_COEFFICIENTS : SPECTRUM - ENVELOPE_COEFFICIENTS + 1] = 0
    return np.fft.rfft(cepstrum, SPECTRUM).real, voicing(frames)


def framed(samples: np.ndarray) -> np.ndarray:
    """Overlapping windowed frames of `samples` [N]: `[T, WINDOW]`."""
    padded = np.pad(samples, (WINDOW // 2, WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    return frames * np.hanning(WINDOW + 1)[:-1]


def voicing(frames: np.ndarray) -> np.ndarray:
    """How voiced each of `frames` `[T, WINDOW]` is, 0..1 `[T]`: its autocorrelation at the best pitch period."""
    correlation = np.fft.irfft(np.abs(np.fft.rfft(frames, SPECTRUM)) ** 2, SPECTRUM)
    best = correlation[:, RATE // 400 : RATE // 80].max(axis=1) / (correlation[:, 0] + 1e-9)
    clear = np.clip((best - 0.25) / 0.2, 0, 1)
    return np.convolve(clear, np.ones(3) / 3, mode="same")


def stretch_map(voiced: np.ndarray, frames: int) -> np.ndarray:
    """Which source frame each of `frames` output frames takes: only the middle of the vowel is stretched."""
    source = len(voiced)
    if frames <= source:
        return np.linspace(0, source - 1, frames)
    vowel = np.flatnonzero(voiced > 0.5)
    first, last = (vowel[0], vowel[-1]) if len(vowel) else (0, source - 1)
    start, end = first + 0.3 * (last - first), first + 0.7 * (last - first)
    extra = frames - source
    return np.interp(np.arange(frames), [0, start, end + extra, frames - 1], [0, start, end, source - 1])


def pitch_curve(pitch: int, frames: int) -> np.ndarray:
    """Frequency of a sung note in Hz, per sample `[frames]`: a short glide up, then a vibrato that grows."""
    t = np.arange(frames) / RATE
    glide = -0.7 * np.exp(-t / 0.04)
    vibrato = 0.28 * np.clip((t - 0.25) / 0.4, 0, 1) * np.sin(2 * np.pi * 5.4 * t)
    return 440 * 2 ** ((pitch - 69 + glide + vibrato) / 12)


def pulses(frequency: np.ndarray) -> np.ndarray:
    """Band-limited pulse train of a varying `frequency` in Hz, per sample; its power is 1."""
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    count = int(HIGHEST_HARMONIC_HZ / frequency.max())
    return sum(np.cos(k * phase) for k in range(1, count + 1)) * np.sqrt(2 / count)


def sung(word: Word, rng: np.random.Generator) -> np.ndarray:
    """One word on its note, f64 `[N]`, with an RMS of 1 where it is voiced."""
    envelopes, voiced = spoken(word.text)
    samples = round(word.beats * BEAT_S * RATE)
    source = stretch_map(voiced, len(framed(np.zeros(samples))))
    low = np.minimum(source.astype(int), len(envelopes) - 2)
    part = (source - low)[:, None]
    envelope = np.exp(envelopes[low] * (1 - part) + envelopes[low + 1] * part)
    mix = np.interp(source, np.arange(len(voiced)), voiced)[:, None]
    tone, noise = framed(pulses(pitch_curve(word.pitch, samples))), framed(rng.standard_normal(samples))
    excitation = mix * tone + (0.5 * (1 - mix) + 0.04) * noise
    filtered = np.fft.irfft(np.fft.rfft(excitation, SPECTRUM) * envelope, SPECTRUM)
    voice = overlap_added(filtered, samples)
    fade = np.minimum(1, np.minimum(np.arange(samples), samples - 1 - np.arange(samples)) / (0.012 * RATE))
    return voice * fade / np.sqrt(np.mean(voice**2))


def overlap_added(frames: np.ndarray, samples: int) -> np.ndarray:
    """The sum of `frames` `[T, SPECTRUM]`, one every `HOP`, as f64 `[samples]`."""
    total = np.zeros(len(frames) * HOP + SPECTRUM)
    for index, frame in enumerate(np.fft.fftshift(np.roll(frames, -WINDOW // 2, axis=1), axes=1)):
        total[index * HOP : index * HOP + SPECTRUM] += frame
    return total[SPECTRUM // 2 : SPECTRUM // 2 + samples]


def sing(song: Song, seed: int = 5) -> np.ndarray:
    """The vocals of `song`, f64 `[frames, 2]`, in a small room."""
    rng = np.random.default_rng(seed)
    dry = np.zeros(song.frames)
    for word in words_of(song):
        start, voice = round(word.start * BEAT_S * RATE), sung(word, rng)
        dry[start : start + len(voice)] += voice
    spectrum = np.fft.rfft(dry)
    dry = np.fft.irfft(spectrum * (np.fft.rfftfreq(song.frames, 1 / RATE) > 110), song.frames)
    decay = np.exp(-np.arange(round(0.9 * RATE)) / (0.16 * RATE))
    rooms = rng.standard_normal((2, len(decay))) * decay / np.sqrt(np.sum(decay**2))
    size = 2 ** int(np.ceil(np.log2(song.frames + len(decay))))
    wet = np.fft.irfft(np.fft.rfft(dry, size) * np.fft.rfft(rooms, size), size)[:, : song.frames]
    return faded((dry + 0.16 * wet).T)


# Files -------------------------------------------------------------------------------------------


def stems_of(song: Song, soundfont: Path) -> dict[str, np.ndarray]:
    """The four stems of `song`, i16 `[frames, 2]` each, whose sum peaks at about `PEAK`."""
    scores = {"drums": drums_of(song), "bass": bass_of(song), "other": other_of(song)}
    stems = {name: render(parts, song, soundfont) for name, parts in scores.items()}
    stems["vocals"] = sing(song)
    if song.compact:
        stems |= {name: centred(stems[name]) for name in ("drums", "vocals")}
    stems = {name: stem * STEM_GAIN[name] / np.sqrt(np.mean(stem**2)) for name, stem in stems.items()}
    peak = np.abs(sum(stems.values())).max()
    step = COMPACT_STEP if song.compact else 1
    scale = PEAK * 32767 / peak / step
    return {name: np.round(stem * scale).astype(np.int16) * step for name, stem in stems.items()}


def centred(samples: np.ndarray) -> np.ndarray:
    """`samples` `[frames, 2]` with both sides the same."""
    return np.repeat(samples.mean(axis=1, keepdims=True), 2, axis=1)


def cover_png(size: int = 240) -> bytes:
    """The cover: a sun over a stream, as a PNG of `size` by `size` pixels."""
    y, x = np.mgrid[0:size, 0:size] / size
    bands = np.floor(y * 12) / 12
    picture = np.stack([40 + 190 * bands, 50 + 80 * bands, 110 - 30 * bands], axis=-1)
    picture[(x - 0.5) ** 2 + (y - 0.45) ** 2 < 0.05] = (255, 214, 120)
    stream = np.abs(x - 0.5 - 0.08 * np.sin(14 * y)) < 0.5 * (y - 0.55)
    picture[stream & (np.floor(y * 40) % 2 == 0)] = (30, 90, 140)
    picture[stream & (np.floor(y * 40) % 2 == 1)] = (240, 180, 110)
    rows = np.concatenate([np.zeros((size, 1), np.uint8), picture.astype(np.uint8).reshape(size, -1)], axis=1)
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")]
    encoded = [struct.pack(">I", len(c)) + k + c + struct.pack(">I", zlib.crc32(k + c)) for k, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(encoded)


LAME_GAIN = {128: 0.95, 256: 1.0}
"""By which LAME 3.100 lowers the volume at each bit rate (kbit/s); it is undone."""


def write_mp3(path: Path, song: Song, mixture: np.ndarray) -> None:
    """Encodes `mixture` (i16 `[frames, 2]`) with title, artist, album and cover."""
    with tempfile.TemporaryDirectory() as folder:
        wave, cover = Path(folder, "mixture.wav"), Path(folder, "cover.png")
        soundfile.write(wave, mixture, RATE, subtype="PCM_16")
        cover.write_bytes(cover_png())
        tags = ["--add-id3v2", "--tt", TITLE, "--ta", ARTIST, "--tl", ALBUM, "--ti", cover]
        options = ["--quiet", "-q", "0", "-m", "j", "--cbr", "-b", str(song.bitrate_kbit)]
        options += ["--scale", str(1 / LAME_GAIN[song.bitrate_kbit])]
        subprocess.run(["lame", *options, *tags, wave, path], check=True)


def write_song(song: Song, out: Path, soundfont: Path) -> None:
    """Renders `song` into `out`."""
    stems = stems_of(song, soundfont)
    mixture = sum(stem.astype(np.int32) for stem in stems.values())
    assert np.abs(mixture).max() <= 32767, "the mixture must not clip"
    write_mp3(out / f"{song.name}.mp3", song, mixture.astype(np.int16))
    folder = out / "stems" / song.name
    folder.mkdir(parents=True, exist_ok=True)
    for name, stem in stems.items():
        soundfile.write(folder / f"{name}.flac", stem, RATE, subtype="PCM_16", compression_level=1.0)


def main() -> None:
    """Parses the command line and renders every song."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    soundfont = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
    parser.add_argument("--soundfont", type=Path, default=soundfont, help=f"default: {soundfont}")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for song in SONGS:
        write_song(song, arguments.out, arguments.soundfont)


if __name__ == "__main__":
    main()
