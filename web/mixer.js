// The mixer of one song: a lane for each stem, played together, and the mix as a file.

import { Problem, made, read } from './api.js';
import { parts } from './choice.js';
import { announce, el, label, say } from './dom.js';
import { gains, mix } from './graph.js';
import { Player } from './player.js';
import { save } from './save.js';
import { Section } from './section.js';
import { loudest, waveform } from './waveform.js';
import { number, stem as named, t } from './words.js';

const POINTS = 1000;
const LOUDEST_GAIN = 1.5;
const FADERS = { gain: 1, pan: 0, mute: false, solo: false };

export class Mixer {
  #lanes = new Map();
  #stop = new AbortController();
  #told = 0;

  /** Of a song with at least one stem; `stems` are those of its network. */
  constructor(song, stems) {
    this.song = song;
    this.parts = parts(song.job, stems);
    const [first] = song.job.stems;
    this.player = new Player({ count: this.parts.size, frames: first.frames, rate_hz: first.rate_hz });
    this.element = label(el('section', { class: 'mixer', tabIndex: -1 }), 'mixer', { song: () => song.title });
    this.section = new Section(this.player, this.element);
    this.list = el('ul', { class: 'lanes' });
    this.status = el('p', { class: 'note', role: 'status' });
    this.element.append(this.#transport(), this.list, this.status, this.#mixing(), this.#keys());
    if (this.player.streamed) this.list.after(say(el('p', { class: 'note' }), 'streamed'));
    this.player.addEventListener('state', () => this.#state());
    this.element.addEventListener('keydown', (event) => this.#key(event));
    this.#state();
    this.update();
    this.#frame();
  }

  /** Takes in stems that have become ready. */
  update() {
    for (const stem of this.song.job?.stems ?? []) {
      if (this.parts.has(stem.name) && !this.#lanes.has(stem.name)) this.#add(stem);
    }
  }

  #add(stem) {
    const { name } = stem;
    const values = { stem: () => named(name) };
    const wave = el('div', { class: 'wave' });
    this.section.touch(wave);
    const toggle = (what, letter) => label(el('button', {
      type: 'button', 'aria-pressed': 'false', class: `toggle ${what}`, onclick: () => this.#toggle(name, what),
    }, letter), what, values);
    const [mute, solo] = [toggle('mute', 'M'), toggle('solo', 'S')];
    const slide = (what, min, max) => label(el('input', {
      type: 'range', min, max, step: 0.01, value: FADERS[what],
      oninput: ({ target }) => this.#put(name, { [what]: Number(target.value) }),
      ondblclick: () => this.#put(name, { [what]: FADERS[what] }),
    }), what, values);
    const [gain, pan] = [slide('gain', 0, LOUDEST_GAIN), slide('pan', -1, 1)];
    const [volume, panned] = [el('span', { 'aria-hidden': 'true' }), el('span', { 'aria-hidden': 'true' })];
    const element = el('li', { class: 'lane', 'data-stem': name.replace('no_', 'no-') },
      say(el('span', { class: 'name' }), 'stem.of', values), wave, el('span', { class: 'toggles' }, mute, solo),
      el('label', { class: 'fader' }, volume, gain), el('label', { class: 'fader' }, panned, pan));
    this.#lanes.set(name, { element, wave, mute, solo, gain, pan, volume, panned, peaks: [] });
    // In the order of the network, whichever came first.
    this.list.append(...[...this.parts.keys()].flatMap((part) => this.#lanes.get(part)?.element ?? []));
    this.#draw(stem);
    this.#load(stem);
    this.#show();
  }

  async #draw({ name, url }) {
    const { peaks } = await read(`${url}/peaks?points=${POINTS}`, { signal: this.#stop.signal }).catch(() => ({ peaks: [] }));
    this.#lanes.get(name).peaks = peaks;
    const lanes = [...this.#lanes.values()];
    const most = Math.max(...lanes.map((lane) => loudest(lane.peaks)));
    for (const lane of lanes) lane.wave.replaceChildren(...(lane.peaks.length > 0 ? [waveform(lane.peaks, most)] : []));
  }

  async #load({ name, url }) {
    say(this.status, 'loading');
    this.loading = (this.loading ?? 0) + 1;
    try {
      await this.player.add(name, url);
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      this.fault = error instanceof Problem ? error.sentence : t('error.unplayable', { stem: named(name) });
    }
    this.loading -= 1;
    if (this.loading === 0) this.#says(this.fault ?? '');
    this.#state();
  }

  #says(text) {
    delete this.status.dataset.word;
    this.status.textContent = text;
  }

  #transport() {
    this.play = el('button', { type: 'button', class: 'primary play', onclick: () => this.#toggles() });
    const listening = label(el('input', {
      type: 'range', min: 0, max: 1, step: 0.01, value: 1, oninput: ({ target }) => this.player.graph.listen(Number(target.value)),
    }), 'listening');
    const reset = say(el('button', { type: 'button', onclick: () => this.#reset() }), 'reset');
    this.section.buttons.append(reset);
    return el('div', { class: 'transport' },
      el('div', { class: 'actions' }, this.play, this.section.time,
        el('label', { class: 'fader listening' }, say(el('span', { 'aria-hidden': 'true' }), 'listening'), listening)),
      this.section.slider, this.section.buttons);
  }

  #toggles() {
    if (this.player.playing) this.player.pause();
    else this.player.play();
  }

  #toggle(name, what) {
    this.#put(name, { [what]: !this.player.faders.get(name)[what] });
  }

  #put(name, changes) {
    this.player.set(name, changes);
    this.#show();
  }

  #reset() {
    for (const name of this.#lanes.keys()) this.player.set(name, FADERS);
    this.#show();
  }

  /** Faders as the player has them. */
  #show() {
    const heard = gains(this.player.faders);
    for (const [name, lane] of this.#lanes) {
      lane.element.classList.toggle('silent', heard.get(name) === 0);
      const { gain, pan, mute, solo } = this.player.faders.get(name) ?? FADERS;
      lane.mute.setAttribute('aria-pressed', String(mute));
      lane.solo.setAttribute('aria-pressed', String(solo));
      [lane.gain.value, lane.pan.value] = [gain, pan];
      const percent = () => number(gain * 100);
      const side = pan < 0 ? 'left.of' : 'right.of';
      const where = () => (pan === 0 ? t('middle') : t(side, { percent: number(Math.abs(pan) * 100) }));
      say(lane.volume, 'volume.is', { percent });
      say(lane.panned, 'pan.is', { where });
      lane.gain.setAttribute('aria-valuetext', t('percent', { percent: percent() }));
      lane.pan.setAttribute('aria-valuetext', where());
    }
  }

  #state() {
    const { playing, duration } = this.player;
    say(this.play, playing ? 'pause' : 'play');
    this.play.disabled = duration === 0;
    this.section.show();
    this.section.tell((values) => t('at', values));
  }

  /** Moves the marks while the song plays. */
  #frame() {
    if (this.#stop.signal.aborted) return;
    requestAnimationFrame((now) => {
      if (this.player.playing) {
        this.section.show();
        if (now - this.#told > 250) {
          this.#told = now;
          this.section.tell((values) => t('at', values));
        }
      }
      this.#frame();
    });
  }

  #mixing() {
    const formats = [['', 'mix.same'], ['mp3', 'format.mp3'], ['flac', 'format.flac16'], ['wav', 'format.wav16']];
    const format = label(el('select', {}, ...formats.map(([value, word]) => say(el('option', { value }), word))), 'mix.as');
    this.mixes = say(el('button', { type: 'button', onclick: () => this.#download(format.value) }), 'mix');
    return el('div', {}, el('div', { class: 'actions' }, this.mixes, format), say(el('p', { class: 'note' }), 'mix.note'));
  }

  async #download(format) {
    const heard = mix(this.player.faders, this.parts);
    if (heard === '') return this.#says(t('mix.silent'));
    const query = new URLSearchParams({ gains: heard, ...(format === '' ? {} : { format }) });
    const path = `/v2/jobs/${this.song.id}/mix?${query}`;
    this.mixes.disabled = true;
    say(this.status, 'mix.making');
    try {
      await made(path, this.#stop.signal);
      await save(path);
      say(this.status, 'mix.ready');
      announce(t('mix.ready'));
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#says(error.sentence ?? String(error));
    }
    this.mixes.disabled = false;
  }

  #keys() {
    return el('details', {}, say(el('summary'), 'keys'), say(el('p', { class: 'note' }), 'keys.list'));
  }

  /** Keys work while the mixer has the focus; not where a control has a use of its own for them. */
  #key(event) {
    const { target, code, key, shiftKey } = event;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const control = target.closest('button, select, summary, input')?.tagName;
    if (control !== undefined && ['Space', 'Enter'].includes(code)) return;
    if (control !== undefined && control !== 'BUTTON' && /^(Arrow|Home|End)/.test(code)) return;
    const step = shiftKey ? 1 : 5;
    const digit = /^(?:Digit|Numpad)([1-9])$/.exec(code)?.[1];
    const keys = {
      Space: () => this.#toggles(), Home: () => this.player.seek(0),
      ArrowLeft: () => this.player.seek(this.player.position - step),
      ArrowRight: () => this.player.seek(this.player.position + step),
      '[': () => this.section.begin(), ']': () => this.section.finish(), '\\': () => this.section.end(),
    };
    const name = digit && [...this.parts.keys()].filter((part) => this.#lanes.has(part))[digit - 1];
    const action = name ? () => this.#toggle(name, shiftKey ? 'solo' : 'mute') : keys[code] ?? keys[key];
    if (action === undefined) return;
    event.preventDefault();
    action();
  }

  close() {
    this.#stop.abort();
    this.player.close();
    this.element.remove();
  }
}
