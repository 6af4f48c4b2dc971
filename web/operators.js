// The page for operators: what waits, what runs, what was given up, and beginning anew.

import { call, post, read } from './api.js';
import { say } from './dom.js';
import { ask, key } from './key.js';
import { languages, offer } from './language.js';
import { DeadRow, JobRow, List, WorkerRow, named } from './row.js';
import { clock, number, t } from './words.js';

/** Milliseconds between two looks. */
const PAUSE = 2000;
/** Jobs that a look asks for, of each kind. */
const MOST = 40;

const place = (id) => document.getElementById(id);
/** Songs by their jobs: what was given up has no names. */
const songs = new Map();
let shown = null;
let wake = () => {};

const jobs = new List(place('jobs'), () => new JobRow({
  'cancel': (job) => act('ops.canceled', job, () => post(`/v2/jobs/${job.id}/cancel`)),
  'delete': (job) => window.confirm(t('sure', { song: named(job) }))
    && act('ops.deleted', job, () => call(`/v2/jobs/${job.id}`, { method: 'DELETE' })),
}));

const workers = new List(place('workers'), () => new WorkerRow());

const dead = new List(place('dead'), () => new DeadRow({
  'ops.redrive': (entry) => act('ops.redriven', entry, () => post(`/v2/operations/dead/${entry.id}/redrive`)),
  'ops.bury': (entry) => act('ops.buried', entry, () => call(`/v2/operations/dead/${entry.id}`, { method: 'DELETE' })),
}));

/** Does something, says what came of it, and looks. */
async function act(word, item, request) {
  const done = place('done');
  try {
    await request();
    done.className = '';
    say(done, word, { song: () => named(item) });
  } catch (error) {
    delete done.dataset.word;
    done.className = 'bad';
    done.textContent = error.sentence ?? String(error);
  }
  wake();
}

/** Everything as it is now. */
async function look() {
  // First and alone: without the right to it there is nothing else to ask for.
  const depth = await read('/v2/operations/depth');
  const pages = ['state=running&', 'state=queued&', ''].map((state) => read(`/v2/jobs?${state}limit=${MOST}`));
  const [seen, given, ...lists] = await Promise.all([
    read(`/v2/operations/workers?limit=${MOST}`), read(`/v2/operations/dead?limit=${MOST}`), ...pages]);
  // What is in two lists moved meanwhile.
  const all = new Map(lists.flatMap((list) => list.jobs).map((job) => [job.id, job]));
  for (const job of all.values()) songs.set(job.id, job);
  shown = { depth, workers: seen.workers, jobs: [...all.values()], dead: given.dead };
  show();
}

function show() {
  if (shown === null) return;
  for (const figure of document.querySelectorAll('[data-depth]')) {
    const { depth: name } = figure.dataset;
    figure.textContent = name === 'cost' ? clock(shown.depth.cost_ms / 1000) : number(shown.depth[name]);
  }
  jobs.show(shown.jobs);
  workers.show(shown.workers.map((seen) => ({ ...seen, id: `${seen.worker} ${seen.task?.id ?? ''}`, ...song(seen.task?.job) })));
  dead.show(shown.dead.map((entry) => ({ ...entry, id: entry.job, ...song(entry.job) })));
}

/** The song of a job: its number where it is another tenant's. */
function song(job) {
  const { title = job, artist = null } = songs.get(job) ?? {};
  return { title, artist };
}

/** What hinders, in words; whoever has no right is asked no more before there is another key. */
async function hindered(error) {
  const trouble = place('trouble');
  const word = { forbidden: 'ops.forbidden', unauthorized: 'error.unauthorized', offline: 'offline' }[error.code];
  if (word !== undefined) say(trouble, word);
  else {
    delete trouble.dataset.word;
    trouble.textContent = error.sentence ?? String(error);
  }
  if (![401, 403].includes(error.status)) {
    await pause();
    return;
  }
  const other = place('other');
  other.hidden = false;
  do await new Promise((pressed) => other.addEventListener('click', pressed, { once: true }));
  while (!(await ask(key(), false)));
  other.hidden = true;
}

/** Until the next look: at once after something was done, and not while nobody sees the page. */
function pause() {
  return new Promise((over) => {
    wake = over;
    setTimeout(() => {
      if (!document.hidden) over();
      else document.addEventListener('visibilitychange', over, { once: true });
    }, PAUSE);
  });
}

function listen() {
  const [sure, word] = [place('sure'), place('sure-word')];
  place('reset').addEventListener('click', () => {
    word.value = '';
    sure.returnValue = '';
    place('sure-do').disabled = true;
    sure.showModal();
    word.focus();
  });
  word.addEventListener('input', () => { place('sure-do').disabled = word.value.trim() !== 'reset'; });
  sure.addEventListener('close', () => {
    if (sure.returnValue === 'reset') act('ops.reset.done', {}, () => post('/v2/reset'));
  });
  offer(show);
}

async function start() {
  languages();
  listen();
  for (;;) {
    try {
      await look();
      delete place('trouble').dataset.word;
      place('trouble').textContent = '';
      document.documentElement.dataset.ready = '';
      await pause();
    } catch (error) {
      await hindered(error);
    }
  }
}

start();
