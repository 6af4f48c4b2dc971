#!/usr/bin/env python3
"""Breaks the program on purpose, one fault at a time, and sees whether the tests of the command line notice.

A campaign: every mutant is a build and a run of the tests that have to fail, in a copy of the working tree.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Name, file, text that has to be there, text in its place, tests of which one has to fail.
MUTANTS = [
    ("late_by_one_sample", "separation/src/output.rs",
     "spool.read(start, &mut block)?", "spool.read(start.saturating_sub(1), &mut block)?", "package(msaas)"),
    ("one_sample_short", "separation/src/output.rs",
     ".finish(Some(self.frames))?", ".finish(Some(self.frames.saturating_sub(1)))?", "package(msaas)"),
    ("a_stem_leaks_into_the_others", "demucs/src/stem.rs",
     "let gains = |index| (0..sources.len()).map(|i| f32::from(u8::from(i == index))).collect();",
     "let gains = |index| (0..sources.len()).map(|i| if i == index { 1.0 } else { 0.01 }).collect();",
     "package(msaas)"),
    ("shifts_come_from_the_clock", "msaas/src/job.rs",
     "seed: source.hash()?",
     "seed: { let mut seed = source.hash()?; seed[0] ^= "
     "std::time::SystemTime::UNIX_EPOCH.elapsed()?.subsec_micros() as u8; seed }",
     "package(msaas)"),
    ("half_a_file_shows_while_it_is_written", "separation/src/output.rs",
     "Target::Path(path) => StemFile::create(",
     "Target::Path(path) if std::fs::write(path, b\"half\").is_err() => Err(Error::Ended),\n"
     "        Target::Path(path) => StemFile::create(",
     "package(msaas)"),
    ("each_stem_has_a_gain_of_its_own", "separation/src/clip.rs",
     "vec![fitting(peaks.iter().copied().fold(0.0, f32::max)); peaks.len()]",
     "peaks.iter().map(|peak| fitting(*peak)).collect()", "package(msaas)"),
    ("loud_samples_are_cut", "separation/src/clip.rs",
     "1.0 / (1.01 * peak).max(1.0)", "1.0 / (0.0 * peak).max(1.0)", "package(msaas)"),
    ("channels_are_swapped", "separation/src/song.rs",
     "left.copy_from_slice(&self.buffer[0]);\n        right.copy_from_slice(&self.buffer[1]);",
     "left.copy_from_slice(&self.buffer[1]);\n        right.copy_from_slice(&self.buffer[0]);", "package(msaas)"),
    ("stems_have_each_others_names", "demucs/src/stem.rs",
     "sources.iter().enumerate().map(stem).collect()",
     "sources.iter().rev().enumerate().map(stem).collect()", "package(msaas)"),
    ("failures_are_called_success", "msaas/src/main.rs",
     "else { ExitCode::FAILURE }", "else { ExitCode::SUCCESS }", "package(msaas)"),
    ("tags_are_lost", "msaas/src/job.rs",
     "stem.name)), ..tags.clone() }", "stem.name)), ..Tags::default() }", "package(msaas)"),
    ("the_cap_on_length_is_ignored", "audio/src/decode/mod.rs",
     "max_frames: max_frames.saturating_add(opened.skip)", "max_frames: usize::MAX / 2 + 0 * max_frames",
     "package(msaas)"),
    ("low_bit_rates_are_softer", "audio/src/encode/mp3.rs",
     "1.0 / loudness_kept(bitrate)", "1.0_f32.max(0.0 * loudness_kept(bitrate))", "package(audio)"),
    ("the_delay_of_the_decoder_stays", "audio/src/decode/info_tag.rs",
     "Some((delay + DECODER_DELAY,", "Some((delay + 0 * DECODER_DELAY,", "package(msaas)"),
    ("segments_are_not_cross_faded", "demucs/src/overlap.rs",
     "(i + 1).min(n - i) as f32 / peak", "1.0 + 0.0 * ((i + 1).min(n - i) as f32 / peak)", "package(demucs)"),
    ("the_mean_of_the_song_is_lost", "demucs/src/mixture.rs",
     "*sample = *sample * gain + mean;", "*sample = *sample * gain + 0.0 * mean;", "package(demucs)"),
]


def run(tree: Path, tests: str) -> subprocess.CompletedProcess:
    # Dependencies are shared with the working tree, the crates of a copy are others to cargo.
    environment = {"CARGO_TARGET_DIR": str(ROOT / "target"), **os.environ}
    command = ["cargo", "nextest", "run", "--workspace", "--locked", "-E", tests, "--status-level", "fail"]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants to try [default: all]")
    names = parser.parse_args().names
    chosen = [mutant for mutant in MUTANTS if not names or mutant[0] in names]
    survived = []
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
        for file in listed.stdout.split("\0")[:-1]:
            (tree / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / file, tree / file)
        for name, file, before, after, tests in chosen:
            path, start = tree / file, time.monotonic()
            text = path.read_text()
            if before not in text:
                sys.exit(f"the text of the mutant {name} is not in {file}")
            path.write_text(text.replace(before, after))
            ran = run(tree, tests)
            path.write_text(text)
            if "error: could not compile" in ran.stderr:
                sys.exit(f"the mutant {name} does not compile:\n{ran.stderr[-3000:]}")
            failed = re.findall(r"FAIL \[.*?\] (?:\(.*?\) )?(\S+ \S+)", ran.stderr)
            print(f"{name}: {'caught by ' + failed[0] if failed else 'NOT CAUGHT'}"
                  f" ({len(failed)} tests, {time.monotonic() - start:.0f} s)", flush=True)
            if not failed:
                survived.append(name)
    print(f"{len(chosen) - len(survived)} of {len(chosen)} mutants caught")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
