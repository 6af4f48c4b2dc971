// Songs for tests, and WAV files of 32-bit floats.

/** A song of so many seconds: tones that come and go, as WAV of 16 bits and one channel. */
export function song(seconds, rate, pitch = 220) {
  const frames = seconds * rate;
  const wav = Buffer.alloc(44 + frames * 2);
  wav.write('RIFF', 0);
  wav.writeUInt32LE(36 + frames * 2, 4);
  wav.write('WAVEfmt ', 8);
  wav.writeUInt32LE(16, 16);
  wav.writeUInt16LE(1, 20);
  wav.writeUInt16LE(1, 22);
  wav.writeUInt32LE(rate, 24);
  wav.writeUInt32LE(rate * 2, 28);
  wav.writeUInt16LE(2, 32);
  wav.writeUInt16LE(16, 34);
  wav.write('data', 36);
  wav.writeUInt32LE(frames * 2, 40);
  for (let n = 0; n < frames; n++) {
    const second = n / rate;
    const tone = Math.sin(2 * Math.PI * pitch * (1 + Math.floor(second) % 5) * second);
    wav.writeInt16LE(Math.round(8000 * tone * (1 - (second % 1))), 44 + n * 2);
  }
  return wav;
}

/** The same recording of 32-bit floats, louder or softer. */
export function scaled(wav, gain) {
  const copy = Buffer.from(wav);
  let at = 12;
  while (copy.toString('latin1', at, at + 4) !== 'data') at += 8 + copy.readUInt32LE(at + 4) + (copy.readUInt32LE(at + 4) % 2);
  const end = at + 8 + copy.readUInt32LE(at + 4);
  for (let n = at + 8; n + 4 <= end; n += 4) copy.writeFloatLE(copy.readFloatLE(n) * gain, n);
  return copy;
}
