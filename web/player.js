// Playing the stems of one song together.

import { call } from './api.js';
import { Buffers } from './buffers.js';
import { Graph, gains } from './graph.js';
import { Streams } from './streams.js';

/** Time between a wish to play and the first sample, so that all stems can begin together. */
const AHEAD_S = 0.05;
/** What decoded stems may take: a sixth of the memory that the device admits to, where it says nothing of 4 GiB. */
const MEMORY_BYTES = ((navigator.deviceMemory ?? 4) * 2 ** 30) / 6;

/** At the stems' own rate, so that their samples stay what they are; at the device's where it cannot. */
function context(rate) {
  try {
    return new AudioContext({ sampleRate: rate, latencyHint: 'playback' });
  } catch {
    return new AudioContext({ latencyHint: 'playback' });
  }
}

/** Tells `state` when it plays or stops. */
export class Player extends EventTarget {
  #voices;
  #began = null;
  #paused = 0;
  #ending = null;
  #faders = new Map();
  #loading = Promise.resolve();

  /** For `count` stems of so many frames at such a rate. */
  constructor({ count, frames, rate_hz: rate }, memory = MEMORY_BYTES) {
    super();
    this.context = context(rate);
    this.graph = new Graph(this.context);
    this.section = null;
    /** Whether the song is too long to be decoded as a whole. */
    this.streamed = count * frames * 2 * 4 > memory;
    this.#voices = this.streamed ? new Streams(this.graph, () => this.position) : new Buffers(this.graph);
  }

  /** Loads a stem; if the song plays already, it joins in. One after the other: decoding takes all of a phone. */
  add(name, url) {
    this.graph.add(name);
    this.#faders.set(name, { gain: 1, pan: 0, mute: false, solo: false });
    this.#put();
    // What comes over the net meanwhile need not wait.
    const fetched = call(url);
    fetched.catch(() => {});
    const loaded = this.#loading.then(async () => {
      await this.#voices.load(name, await fetched);
      if (this.playing) this.#join(name);
    });
    this.#loading = loaded.catch(() => {});
    return loaded;
  }

  #join(name) {
    if (this.streamed) return this.#start(this.position);
    const at = this.#frame(this.context.currentTime + AHEAD_S);
    this.#voices.start(at, this.#frame(this.#positionAt(at)), this.section, [name]);
  }

  get playing() {
    return this.#began !== null;
  }

  get duration() {
    return this.#voices.duration;
  }

  /** Where the song is, in seconds. */
  get position() {
    return this.playing ? this.#positionAt(this.context.currentTime) : this.#paused;
  }

  #positionAt(time) {
    const { at, offset } = this.#began;
    const position = offset + Math.max(0, time - at);
    if (this.section === null) return Math.min(position, this.duration);
    const { from, to } = this.section;
    return position < to ? position : from + ((position - from) % (to - from));
  }

  async play() {
    await this.context.resume();
    if (!this.playing && this.duration > 0) this.#start(this.#paused);
  }

  pause() {
    if (!this.playing) return;
    this.#paused = this.position;
    this.#halt();
    this.#tell();
  }

  seek(position) {
    const to = Math.min(Math.max(0, position), this.duration);
    if (this.playing) this.#start(to);
    else this.#paused = to;
    this.#tell();
  }

  /** Repeats a section, `{from, to}` in seconds; null for none. */
  repeat(section) {
    const position = this.position;
    this.section = section === null ? null : { from: this.#frame(section.from), to: this.#frame(section.to) };
    if (this.playing) this.#start(position);
    this.#tell();
  }

  #start(position) {
    this.#halt();
    const { section } = this;
    const inside = section === null || position < section.to ? position : section.from;
    const offset = inside >= this.duration ? 0 : this.#frame(inside);
    const at = this.#frame(this.context.currentTime + AHEAD_S);
    this.#voices.start(at, offset, section);
    this.#began = { at, offset };
    if (section === null) this.#ending = setTimeout(() => this.#end(), (this.duration - offset + AHEAD_S) * 1000);
    this.#tell();
  }

  #end() {
    // The clock of the sound counts, not this one.
    const left = this.duration - this.position;
    if (left > 0) {
      this.#ending = setTimeout(() => this.#end(), left * 1000 + 10);
      return;
    }
    this.#halt();
    this.#paused = 0;
    this.#tell();
  }

  #halt() {
    clearTimeout(this.#ending);
    this.#voices.stop();
    this.#began = null;
  }

  /** A time that is a whole number of frames: stems that start apart from each other stay together. */
  #frame(seconds) {
    return Math.round(seconds * this.context.sampleRate) / this.context.sampleRate;
  }

  get faders() {
    return this.#faders;
  }

  /** Moves the faders of a stem. */
  set(name, changes) {
    Object.assign(this.#faders.get(name), changes);
    this.#put();
  }

  #put() {
    for (const [name, gain] of gains(this.#faders)) this.graph.set(name, { gain, pan: this.#faders.get(name).pan });
  }

  #tell() {
    this.dispatchEvent(new Event('state'));
  }

  close() {
    this.#halt();
    this.#voices.close();
    this.context.close();
  }
}
