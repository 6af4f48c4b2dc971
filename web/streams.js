// Stems of a song that is too long for memory: each is an <audio> element that streams into its lane. They are kept together
// by looking at them now and then, so they may be a few hundredths of a second apart.

import { key } from './key.js';

const LOOK_MS = 250;
const APART_S = 0.05;

export class Streams {
  #graph;
  #elements = new Map();
  #position;
  #timer = null;

  /** `position` tells where the song is. */
  constructor(graph, position) {
    this.#graph = graph;
    this.#position = position;
  }

  /** Opens a stem's file; one for which a key was shown comes by way of memory, as it is. */
  async load(name, response) {
    const element = new Audio();
    element.preload = 'auto';
    if (key() === null) {
      element.src = response.url;
      await response.body.cancel();
    } else {
      element.src = URL.createObjectURL(await response.blob());
    }
    await new Promise((ready, failed) => {
      element.addEventListener('loadedmetadata', ready, { once: true });
      element.addEventListener('error', () => failed(element.error), { once: true });
    });
    new MediaElementAudioSourceNode(this.#graph.context, { mediaElement: element }).connect(this.#graph.input(name));
    this.#elements.set(name, element);
  }

  get duration() {
    return Math.max(0, ...[...this.#elements.values()].map((element) => element.duration));
  }

  start(_, offset) {
    for (const element of this.#elements.values()) {
      element.currentTime = offset;
      element.play().catch(() => {});
    }
    this.#timer ??= setInterval(() => this.#together(), LOOK_MS);
  }

  #together() {
    const position = this.#position();
    for (const element of this.#elements.values()) {
      if (!element.seeking && Math.abs(element.currentTime - position) > APART_S) element.currentTime = position;
    }
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = null;
    for (const element of this.#elements.values()) element.pause();
  }

  close() {
    this.stop();
    for (const element of this.#elements.values()) {
      URL.revokeObjectURL(element.src);
      element.removeAttribute('src');
      element.load();
    }
    this.#elements.clear();
  }
}
