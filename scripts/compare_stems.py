#!/usr/bin/env python3
"""Compares two folders of stems: SNR and largest difference of each stem and of all together.

    compare_stems.py REFERENCE OURS [--min-each 70] [--min-all 80] [--max-difference 1e-3]

Both folders hold float WAV files of the same names. Fails when a figure is out of bounds.
"""

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import soundfile


def ratio_db(power: float, error: float) -> float:
    """Signal-to-noise ratio of two sums of squares, in dB; infinite for no error."""
    return 10 * math.log10(power / error) if error else math.inf


def main() -> None:
    """Compares and prints a line for each stem."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path)
    parser.add_argument("ours", type=Path)
    parser.add_argument("--min-each", type=float, default=70, help="dB")
    parser.add_argument("--min-all", type=float, default=80, help="dB")
    parser.add_argument("--max-difference", type=float, default=1e-3, help="of full scale")
    args = parser.parse_args()
    files = sorted(args.reference.glob("*.wav"))
    if not files:
        sys.exit(f"no stems in {args.reference}")
    bad, power_all, error_all = [], 0.0, 0.0
    for file in files:
        reference, rate = soundfile.read(file, dtype="float64", always_2d=True)
        ours, our_rate = soundfile.read(args.ours / file.name, dtype="float64", always_2d=True)
        if (reference.shape, rate) != (ours.shape, our_rate):
            sys.exit(f"{file.stem}: {reference.shape} at {rate} Hz and {ours.shape} at {our_rate} Hz")
        power, error = float((reference**2).sum()), float(((reference - ours) ** 2).sum())
        snr, most = ratio_db(power, error), float(np.abs(reference - ours).max())
        print(f"{file.stem:10} {snr:6.1f} dB, at most {most:.1e}, {len(ours)} frames")
        if snr < args.min_each or most > args.max_difference:
            bad.append(file.stem)
        power_all, error_all = power_all + power, error_all + error
    snr = ratio_db(power_all, error_all)
    print(f"{'all':10} {snr:6.1f} dB")
    if bad or snr < args.min_all:
        sys.exit(f"out of bounds: {', '.join(bad) or 'all'}")


if __name__ == "__main__":
    main()
