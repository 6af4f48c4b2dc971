// Where the song is, and which part of it is repeated: on the waveforms with a finger or a mouse, and by buttons.

import { el, label, say } from './dom.js';
import { clock } from './words.js';

/** Way of the pointer in pixels from which on it is a section and no click. */
const DRAG_PX = 8;
/** Shortest section in seconds. */
const SHORTEST_S = 0.1;

export class Section {
  #player;
  #from = null;

  /** `place` has the style variables that waveforms draw their marks by. */
  constructor(player, place) {
    this.#player = player;
    this.place = place;
    this.slider = label(el('input', { type: 'range', class: 'position', min: 0, max: 0, step: 0.01, value: 0 }), 'position');
    this.slider.addEventListener('input', () => player.seek(Number(this.slider.value)));
    this.time = el('span', { class: 'time' });
    const button = (word, click) => say(el('button', { type: 'button', onclick: click }), word);
    this.text = el('span', { class: 'note' });
    this.off = button('loop.off', () => this.end());
    this.buttons = el('div', { class: 'actions' },
      button('loop.from', () => this.begin()), button('loop.to', () => this.finish()), this.off, this.text);
    player.addEventListener('state', () => this.show());
  }

  /** Loop from here; to the end, as long as nothing else is said. */
  begin() {
    this.#from = this.#player.position;
    const to = this.#player.section?.to ?? this.#player.duration;
    this.#repeat(this.#from, to > this.#from ? to : this.#player.duration);
  }

  /** Loop to here. */
  finish() {
    const to = this.#player.position;
    const from = this.#player.section?.from ?? this.#from ?? 0;
    this.#repeat(from < to ? from : 0, to);
  }

  end() {
    this.#from = null;
    this.#player.repeat(null);
  }

  #repeat(from, to) {
    if (to - from >= SHORTEST_S) this.#player.repeat({ from, to });
  }

  /** Has a waveform's surface listen: a click goes there, a drag is a section. */
  touch(surface) {
    surface.addEventListener('pointerdown', (down) => {
      if (down.button !== 0) return;
      const box = surface.getBoundingClientRect();
      const at = ({ clientX }) => Math.min(Math.max((clientX - box.left) / box.width, 0), 1) * this.#player.duration;
      surface.setPointerCapture(down.pointerId);
      const up = (event) => {
        surface.removeEventListener('pointerup', up);
        surface.removeEventListener('pointercancel', up);
        if (event.type === 'pointercancel') return;
        if (Math.abs(event.clientX - down.clientX) < DRAG_PX) this.#player.seek(at(event));
        else this.#drag(at(down), at(event));
      };
      surface.addEventListener('pointerup', up);
      surface.addEventListener('pointercancel', up);
    });
  }

  #drag(one, other) {
    const [from, to] = [Math.min(one, other), Math.max(one, other)];
    this.#repeat(from, to);
    this.#player.seek(from);
  }

  /** Shows where the song is. */
  show() {
    const { position, duration, section } = this.#player;
    const part = (seconds) => (duration > 0 ? seconds / duration : 0);
    this.place.style.setProperty('--at', part(position));
    this.place.style.setProperty('--from', part(section?.from ?? 0));
    this.place.style.setProperty('--to', part(section?.to ?? 0));
    this.time.textContent = `${clock(position)} / ${clock(duration)}`;
    this.off.disabled = section === null;
    if (section === null) delete this.text.dataset.word;
    if (section === null) this.text.textContent = '';
    else say(this.text, 'loop.is', { from: clock(section.from), to: clock(section.to) });
  }

  /** The same for who hears the page; not on each frame. */
  tell(words) {
    const { position, duration } = this.#player;
    this.slider.max = duration;
    this.slider.value = position;
    this.slider.setAttribute('aria-valuetext', words({ at: clock(position), end: clock(duration) }));
  }
}
