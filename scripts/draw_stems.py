#!/usr/bin/env python3
"""Draws the spectrograms of a song and of its stems below each other: the picture of the README.

    draw_stems.py SONG FOLDER [--out docs/images/stems.png]

FOLDER is what `msaas separate` made of SONG. Needs the program ffmpeg, which decodes, writes the
names and the PNG, and the package numpy.
"""

import argparse
import subprocess
from pathlib import Path

import numpy as np

RATE = 44100
WINDOW = 2048
WIDTH, HEIGHT, STRIP, GAP = 860, 112, 92, 4
"""Of a spectrogram, of the strip with its name to the left, and between two of them, in pixels."""
HIGHEST_HZ = 6000
RANGE_DB = 75
SCALE = np.array([(12, 10, 24), (58, 16, 98), (144, 38, 110), (222, 76, 74), (252, 160, 60), (252, 246, 190)])
"""Colours from silence to the loudest."""
BACKGROUND = (22, 22, 30)


def samples_of(path: Path) -> np.ndarray:
    """Both channels in one, f32 `[frames]`."""
    command = ["ffmpeg", "-loglevel", "error", "-i", path, "-ac", "1", "-ar", str(RATE), "-f", "f32le", "-"]
    return np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, "<f4")


def spectrogram(samples: np.ndarray) -> np.ndarray:
    """Power in dB, `[HEIGHT, WIDTH]`, high frequencies first; a window every 6 ms or less, the mean of each pixel."""
    hop = max(1, min(WINDOW // 8, len(samples) // (2 * WIDTH)))
    padded = np.pad(samples, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::hop] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames, 2 * WINDOW)) ** 2
    bins = round(HIGHEST_HZ / RATE * 2 * WINDOW)
    rows, columns = (np.linspace(0, n, k + 1).astype(int)[:-1] for n, k in ((bins, HEIGHT), (len(power), WIDTH)))
    power = np.add.reduceat(np.add.reduceat(power[:, :bins], rows, axis=1), columns, axis=0)
    return 10 * np.log10(power.T[::-1] + 1e-12)


def coloured(levels_db: np.ndarray, top_db: float) -> np.ndarray:
    """`levels_db` as u8 RGB, the brightest at `top_db`."""
    place = np.clip(1 + (levels_db - top_db) / RANGE_DB, 0, 1) * (len(SCALE) - 1)
    low = np.minimum(place.astype(int), len(SCALE) - 2)
    part = (place - low)[..., None]
    return np.round(SCALE[low] * (1 - part) + SCALE[low + 1] * part).astype(np.uint8)


def write_png(picture: np.ndarray, names: list[str], out: Path) -> None:
    """Writes `picture` (u8 `[height, width, 3]`) with a name beside each row, in 96 colours."""
    size = f"{picture.shape[1]}x{picture.shape[0]}"
    place = f"x=12:y={HEIGHT // 2}-text_h/2+{HEIGHT + GAP}"
    texts = [f"drawtext=font=Sans:text={name}:fontsize=19:fontcolor=white:{place}*{i}" for i, name in enumerate(names)]
    palette = "split[a][b];[a]palettegen=max_colors=96:reserve_transparent=0[p];[b][p]paletteuse=dither=none"
    command = ["ffmpeg", "-loglevel", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-i", "-"]
    command += ["-filter_complex", ",".join([*texts, palette]), "-frames:v", "1", "-update", "1", out]
    out.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(command, check=True, input=picture.tobytes())


def main() -> None:
    """Parses the command line and draws."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("song", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/images/stems.png"))
    args = parser.parse_args()
    stems = ["drums", "bass", "other", "vocals"]
    files = {"song": args.song} | {stem: next(args.folder.glob(f"{stem}.*")) for stem in stems}
    levels = {name: spectrogram(samples_of(path)) for name, path in files.items()}
    top_db = np.percentile(levels["song"], 99.9)
    picture = np.full(((HEIGHT + GAP) * len(levels) - GAP, STRIP + WIDTH, 3), BACKGROUND, np.uint8)
    for i, level in enumerate(levels.values()):
        first = i * (HEIGHT + GAP)
        picture[first : first + HEIGHT, STRIP:] = coloured(level, top_db)
    write_png(picture, list(levels), args.out)


if __name__ == "__main__":
    main()
