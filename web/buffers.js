// Stems in memory. The browser's sound thread starts all of them at one moment of its own clock, and repeats a section by
// itself: whatever this page does meanwhile, no stem is ahead of another by a single sample.

export class Buffers {
  #graph;
  #buffers = new Map();
  #playing = new Map();

  constructor(graph) {
    this.#graph = graph;
  }

  /** Decodes a stem's file. */
  async load(name, response) {
    this.#buffers.set(name, await this.#graph.context.decodeAudioData(await response.arrayBuffer()));
  }

  get duration() {
    return Math.max(0, ...[...this.#buffers.values()].map((buffer) => buffer.duration));
  }

  /** Starts all stems, or one that came later, at the time `at` of the context from `offset` on, both in seconds. */
  start(at, offset, section, names = [...this.#buffers.keys()]) {
    for (const name of names) {
      const source = new AudioBufferSourceNode(this.#graph.context, { buffer: this.#buffers.get(name) });
      if (section !== null) Object.assign(source, { loop: true, loopStart: section.from, loopEnd: section.to });
      source.connect(this.#graph.input(name));
      source.start(at, offset);
      this.#playing.set(name, source);
    }
  }

  stop() {
    for (const source of this.#playing.values()) {
      source.stop();
      source.disconnect();
    }
    this.#playing.clear();
  }

  close() {
    this.stop();
    this.#buffers.clear();
  }
}
