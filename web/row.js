// Lists of what operators look after. A row is the same element while what it shows changes.

import { el, label, say } from './dom.js';
import { clock, moment, number, pace, t } from './words.js';

export class List {
  #rows = new Map();
  #place;

  /** `make` makes a row. */
  constructor(place, make) {
    this.#place = place;
    this.make = make;
  }

  /** Shows these items, each of which has an `id`, in their order. */
  show(items) {
    const place = this.#place;
    const focused = place.contains(document.activeElement) ? document.activeElement : null;
    const rows = items.map((item) => [item.id, this.#rows.get(item.id) ?? this.make()]);
    const stay = new Map(rows);
    for (const [id, row] of this.#rows) if (!stay.has(id)) row.element.remove();
    this.#rows = stay;
    for (const [n, item] of items.entries()) {
      const row = stay.get(item.id);
      row.show(item);
      if (place.children[n] !== row.element) place.insertBefore(row.element, place.children[n] ?? null);
    }
    place.parentElement.querySelector('.none').hidden = items.length > 0;
    // Who works by keyboard stays where they were, or goes to the head of the list.
    if (focused === null || document.activeElement === focused) return;
    if (focused.isConnected && !focused.hidden) focused.focus();
    else place.parentElement.querySelector('h2').focus();
  }
}

class Row {
  constructor(actions = {}) {
    this.heading = el('h3');
    this.state = el('p');
    this.bad = el('p', { class: 'bad' });
    this.note = el('p', { class: 'note' });
    this.buttons = Object.fromEntries(Object.entries(actions).map(([word, act]) => [word, this.#button(word, act)]));
    this.actions = el('div', { class: 'actions', hidden: Object.keys(actions).length === 0 }, ...Object.values(this.buttons));
    this.element = el('li', {}, this.heading, this.state, this.bad, this.note, this.actions);
  }

  #button(word, act) {
    return say(el('button', { type: 'button', onclick: () => act(this.item) }), word);
  }

  show(item) {
    this.item = item;
    this.heading.textContent = named(item);
    for (const [word, button] of Object.entries(this.buttons)) {
      label(button, 'of', { what: () => t(word), song: () => named(item) });
    }
  }
}

/** A job: its state, size, time and progress. */
export class JobRow extends Row {
  constructor(actions) {
    super(actions);
    this.bar = el('progress', { max: 100, value: 0 });
    this.state.after(this.bar);
  }

  show(job) {
    super.show(job);
    const ended = !['queued', 'running'].includes(job.state);
    this.element.dataset.state = job.state;
    const { percent, queue_position: position } = job.progress;
    if (position > 0) say(this.state, 'state.position', { count: () => number(position) });
    else say(this.state, job.state === 'queued' ? 'state.next' : `state.${job.state}`, { percent: () => number(percent) });
    label(this.bar, 'progress', { song: () => named(job) }).value = percent;
    this.bar.hidden = job.state !== 'running';
    this.bad.textContent = job.error?.detail ?? '';
    this.bad.hidden = job.error === null;
    const size = `${number(job.size_bytes / 2 ** 20, 1)} MiB`;
    const parts = [size, times(job), ended ? '' : pace(job.progress), job.id];
    this.note.textContent = parts.filter((part) => part !== '').join(' · ');
    this.buttons.cancel.hidden = ended;
    this.buttons.delete.hidden = !ended;
  }
}

/** A worker: what it does, since when, and whether it was heard of lately. */
export class WorkerRow extends Row {
  show(seen) {
    super.show(seen);
    const { worker, silent_ms: silent, task } = seen;
    const time = (ms) => () => clock(ms / 1000);
    this.heading.textContent = worker;
    this.element.dataset.state = task === null ? 'idle' : 'busy';
    if (task === null) say(this.state, 'ops.idle');
    else say(this.state, `ops.task.${task.kind}`, { song: () => named(seen) });
    // Half of its lease is over.
    const lost = task !== null && silent > task.left_ms;
    this.bad.hidden = !lost;
    if (lost) say(this.bad, 'ops.silent', { time: time(silent), left: time(task.left_ms) });
    const parts = [t('ops.heard', { time: clock(silent / 1000) })];
    if (task !== null) parts.unshift(t('ops.has', { time: clock(task.held_ms / 1000) }), t('ops.attempt', { count: number(task.attempt) }));
    if (task?.before) parts.push(t('ops.before', { worker: task.before }));
    if (task !== null) parts.push(task.id);
    this.note.textContent = parts.join(' · ');
  }
}

/** What was given up, and why. */
export class DeadRow extends Row {
  show(entry) {
    super.show(entry);
    say(this.state, 'ops.at', { time: () => moment(new Date(entry.at_ms)) });
    this.bad.textContent = entry.reason;
    this.note.textContent = entry.task;
  }
}

export const named = ({ title, artist }) => [artist, title ?? t('unnamed')].filter(Boolean).join(' – ');

function times({ created_at: created, started_at: started, completed_at: completed }) {
  const time = (from, to) => clock((to - Date.parse(from)) / 1000);
  if (completed !== null) return started === null ? '' : t('ops.took', { time: time(started, Date.parse(completed)) });
  if (started !== null) return t('ops.runs', { time: time(started, Date.now()) });
  return t('ops.waits', { time: time(created, Date.now()) });
}
