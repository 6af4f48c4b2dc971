// A song as the list shows it.

import { call } from './api.js';
import { announce, el, label, say } from './dom.js';
import { saving } from './save.js';
import { day, number, pace, stem as named, t } from './words.js';

/** Steps of progress in percent that are told to who hears the page. */
const STEP = 25;

/** Refusals of a song that another try does not change: it is not there any more, too large, or no audio. */
const FINAL = [404, 410, 413, 415, 422];

/** Refusals that may be another one's fault, and pass. */
const PASSING = ['link_failed', 'link_slow'];

/** Covers are fetched when their cards come into sight. */
const sight = new IntersectionObserver((entries) => {
  for (const { target } of entries.filter(({ isIntersecting }) => isIntersecting)) {
    sight.unobserve(target);
    target.dispatchEvent(new Event('sight'));
  }
});

export class Card {
  #stems = new Map();
  #told = { state: null, step: 0 };

  /** `open` is called with this card when its mixer is asked for, or closed. */
  constructor(song, open) {
    this.song = song;
    this.mixer = null;
    this.known = false;
    const values = { song: () => song.title };
    const button = (word, click) => {
      const element = say(el('button', { type: 'button', onclick: click }), word);
      return label(element, 'of', { what: () => t(word), ...values });
    };
    this.cover = el('img', { class: 'cover', alt: '', hidden: true });
    this.heading = el('h3');
    this.artist = el('p', { class: 'artist' });
    this.state = el('p', { class: 'state' });
    this.detail = el('p', { class: 'note' });
    this.bar = label(el('progress', { max: 100, value: 0 }), 'progress', values);
    this.stems = el('ul', { class: 'stems' });
    this.opener = button('open', () => open(this));
    this.cancel = button('cancel', () => song.cancel());
    this.retry = button('retry', () => song.retry());
    this.zip = null;
    this.remove = button('delete', () => window.confirm(t('sure', { song: song.title })) && song.remove());
    this.actions = el('div', { class: 'actions' }, this.opener, this.cancel, this.retry, this.remove);
    this.element = el('li', {}, el('article', { class: 'song' }, this.cover,
      el('div', { class: 'about' }, this.heading, this.artist, this.state, this.bar, this.detail, this.stems, this.actions)));
    song.addEventListener('change', () => this.show());
    this.show();
  }

  show() {
    const { song } = this;
    const { job, state, problem } = song;
    this.heading.textContent = song.title;
    this.artist.textContent = job?.artist ?? '';
    this.artist.hidden = this.artist.textContent === '';
    this.element.firstChild.dataset.state = state;
    this.#state(state, job, problem);
    this.#progress(state, job);
    this.#ready(job);
    const lost = problem !== null && FINAL.includes(problem.status) && !PASSING.includes(problem.code);
    this.cancel.hidden = song.ended || state === 'checking';
    this.retry.hidden = !['failed', 'canceled'].includes(state) || lost;
    this.remove.hidden = !song.ended;
    this.opener.hidden = (job?.stems ?? []).length === 0 || problem !== null;
    const opener = this.mixer === null ? 'open' : 'close';
    label(say(this.opener, opener), 'of', { what: () => t(opener), song: () => song.title });
    this.opener.setAttribute('aria-expanded', String(this.mixer !== null));
    this.mixer?.update();
    this.#tell(state);
    if (job !== null && !this.known) this.#meet();
  }

  #state(state, job, problem) {
    const position = job?.progress.queue_position;
    const percent = () => number(state === 'sending' ? this.song.sent * 100 : job?.progress.percent ?? 0);
    if (state !== 'queued') say(this.state, `state.${state}`, { percent });
    else if (position > 0) say(this.state, 'state.position', { count: () => number(position) });
    else say(this.state, 'state.next');
    const { progress } = job ?? {};
    delete this.detail.dataset.word;
    if (problem !== null) this.detail.textContent = problem.sentence;
    else if (state === 'failed') say(this.detail, 'error.separation_failed', { detail: job.error?.detail });
    else if (this.song.offline) say(this.detail, 'offline');
    else if (state === 'succeeded') say(this.detail, 'kept', { date: () => day(new Date(job.expires_at)) });
    else this.detail.textContent = state === 'running' ? pace(progress) : '';
    this.detail.classList.toggle('bad', problem !== null || state === 'failed');
  }

  #progress(state, job) {
    this.bar.hidden = !['sending', 'running', 'queued'].includes(state);
    this.bar.value = state === 'sending' ? this.song.sent * 100 : job?.progress.percent ?? 0;
  }

  /** Results that can be fetched, each as soon as it is there. */
  #ready(job) {
    const failed = (problem) => { this.detail.textContent = problem.sentence; };
    for (const { name, url } of job?.stems ?? []) {
      if (this.#stems.has(name)) continue;
      const values = { stem: () => named(name) };
      const link = label(say(saving(url, failed), 'stem.of', values), 'download', values);
      this.#stems.set(name, el('li', { 'data-stem': name.replace('no_', 'no-') }, link));
      if (job.state === 'running') announce(t('said.stem', { song: this.song.title, stem: named(name) }));
    }
    const there = (job?.stems ?? []).map(({ name }) => this.#stems.get(name));
    const shown = [...this.stems.children];
    // Only where something has changed: what has the focus would lose it.
    if (there.length !== shown.length || there.some((item, n) => item !== shown[n])) this.stems.replaceChildren(...there);
    if (job?.state === 'succeeded' && this.zip === null) {
      this.zip = say(saving(`/v2/jobs/${this.song.id}/stems.zip`, failed), 'zip');
      this.opener.after(this.zip);
    }
    if (this.zip !== null) this.zip.hidden = job?.state !== 'succeeded';
  }

  /** Not each percent. */
  #tell(state) {
    const step = state === 'running' ? Math.floor(this.song.job.progress.percent / STEP) : 0;
    const { state: before, step: last } = this.#told;
    this.#told = { state, step };
    const moved = state !== before && !['checking', 'sending', 'fetching'].includes(state);
    const news = before !== null && before !== 'checking' && (moved || step > last);
    if (news) announce(`${this.song.title}: ${this.state.textContent}`);
  }

  /** The server knows the song now, and so its cover. */
  #meet() {
    this.known = true;
    this.element.addEventListener('sight', () => this.#picture(), { once: true });
    sight.observe(this.element);
  }

  async #picture() {
    try {
      const picture = await (await call(`/v2/jobs/${this.song.id}/cover`)).blob();
      this.cover.src = URL.createObjectURL(picture);
      await this.cover.decode();
      this.cover.hidden = false;
    } catch {
      // Most songs have none.
    }
  }
}
