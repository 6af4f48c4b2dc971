// One song on its way: a file that is sent, or a link that the server follows, then a job of the server.

import { Problem, call, events, post, read, upload } from './api.js';
import { forget, remember } from './history.js';
import { t } from './words.js';

/** Connections that wait for news at once: a browser has six for one server, and further windows need theirs. Other songs are
 * asked about now and then. */
const STREAMS = 2;
const PAUSE_MS = 2000;
const ENDED = ['succeeded', 'failed', 'canceled'];

let streams = 0;

/** Tells `change` when something of it is new. */
export class Song extends EventTarget {
  /** Of a file or a link, with what is asked for as a query; or one that the server knows by `id`. */
  constructor({ id = null, name, file = null, link = null, query = '' }) {
    super();
    Object.assign(this, { id, name, job: null, sent: 0, problem: null, offline: false, file, link, query });
    this.doing = id === null ? 'waiting' : 'checking';
    this.stop = new AbortController();
  }

  get title() {
    return this.job?.title ?? (this.name || t('unnamed'));
  }

  /** `waiting`, `sending`, `fetching`, `checking`, or the state of the job. Of what went wrong on the way, `failed`. */
  get state() {
    if (this.problem !== null) return 'failed';
    return this.job === null ? this.doing : this.job.state;
  }

  get ended() {
    return ENDED.includes(this.state);
  }

  /** Sends the file, or has the server fetch it; ends when the server has it. */
  async send() {
    if (this.stop.signal.aborted) return;
    const { link, query, stop: { signal } } = this;
    this.#set({ doing: link === null ? 'sending' : 'fetching', problem: null, sent: 0 });
    try {
      const job = link === null
        ? await upload(this.file, query, (sent) => this.#set({ sent }), signal)
        : await post(`/v2/jobs?${query}`, { url: link }, { signal });
      this.#accepted(job);
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Says why it is not sent at all. */
  refuse(problem) {
    this.#failed(problem);
  }

  #accepted(job) {
    this.id = job.id;
    remember(this);
    this.#set({ job, problem: null });
    this.dispatchEvent(new Event('accepted'));
    this.watch();
  }

  /** Looks at the job once. */
  async look() {
    await this.#patiently(async () => this.#news(await read(`/v2/jobs/${this.id}`)));
  }

  /** Follows the job to its end, whatever becomes of connections. */
  async watch() {
    let last = 0;
    while (!this.stop.signal.aborted && !this.ended) {
      if (this.job === null || streams >= STREAMS) await this.look();
      else await this.#patiently(async () => { last = await this.#follow(last); });
      if (!this.ended && (this.offline || streams >= STREAMS)) await new Promise((next) => setTimeout(next, PAUSE_MS));
    }
  }

  /** What may be over in a moment is no failure. */
  async #patiently(action) {
    try {
      await action();
    } catch (error) {
      if (error instanceof Problem && error.passes) this.#set({ offline: true });
      else this.#failed(error);
    }
  }

  async #follow(last) {
    streams += 1;
    try {
      for await (const { number, job } of events(this.id, last, this.stop.signal)) {
        last = Math.max(last, number);
        this.#news(job);
      }
    } finally {
      streams -= 1;
    }
    // The stream is over: it ended with the job, or it breaks off after an hour.
    if (!this.ended) this.#news(await read(`/v2/jobs/${this.id}`));
    return last;
  }

  #news(job) {
    this.#set({ job, offline: false });
  }

  #failed(error) {
    if (error.name === 'AbortError') return;
    this.#set({ problem: error instanceof Problem ? error : new Problem('other', { detail: String(error) }), offline: false });
  }

  /** Stops what goes on: the sending, or the job. */
  async cancel() {
    if (this.id === null) return this.remove();
    await this.#trying(async () => this.#news(await read(`/v2/jobs/${this.id}/cancel`, { method: 'POST' })));
  }

  /** Does the same once more: from the file or link, if it never reached the server, or from the song that the server has. */
  async retry() {
    if (this.id === null) return this.dispatchEvent(new Event('again'));
    if (this.job === null) {
      this.#set({ problem: null });
      return this.watch();
    }
    const { song, options } = this.job;
    const before = this.id;
    await this.#trying(async () => {
      const job = await post('/v2/jobs', { song, options });
      if (job.id !== before) forget(before);
      this.#accepted(job);
    });
  }

  /** Removes it from the server and from here. */
  async remove() {
    this.stop.abort();
    try {
      if (this.id !== null) await call(`/v2/jobs/${this.id}`, { method: 'DELETE' });
    } catch (error) {
      // What is not there any more needs no removing.
      if (!(error instanceof Problem && [404, 410].includes(error.status))) {
        this.stop = new AbortController();
        return this.#failed(error);
      }
    }
    if (this.id !== null) forget(this.id);
    this.dispatchEvent(new Event('removed'));
  }

  async #trying(action) {
    try {
      await action();
    } catch (error) {
      this.#failed(error);
    }
  }

  #set(changes) {
    Object.assign(this, changes);
    this.dispatchEvent(new Event('change'));
  }
}
