// The page: songs come in, and a list shows what becomes of them.

import { Problem, limits, read } from './api.js';
import { Card } from './card.js';
import { Choice } from './choice.js';
import { announce, say } from './dom.js';
import { all } from './history.js';
import { languages, offer } from './language.js';
import { Mixer } from './mixer.js';
import { Song } from './song.js';
import { megabytes } from './words.js';

const place = (id) => document.getElementById(id);
const cards = new Map();
let choice = null;
let mixing = null;
/** Files are sent one after the other: together none would be there sooner. */
let sending = Promise.resolve();

function add(song, isNew) {
  const card = new Card(song, (asked) => (mixing === asked ? close() : open(asked)));
  cards.set(song, card);
  if (isNew) place('songs').prepend(card.element);
  else place('songs').append(card.element);
  place('none').hidden = true;
  song.addEventListener('change', () => {
    // The first stem of what was sent just now opens the mixer, unless another one is in use.
    if (isNew && mixing === null && !card.shown && song.problem === null && song.job?.stems.length > 0) open(card);
  });
  song.addEventListener('accepted', () => single(song));
  song.addEventListener('again', () => send(song));
  song.addEventListener('removed', () => drop(song));
}

/** The same song sent again with the same options is the same job: one card is enough. */
function single(song) {
  for (const other of cards.keys()) if (other !== song && other.id === song.id) drop(other);
}

function drop(song) {
  const card = cards.get(song);
  song.stop.abort();
  if (mixing === card) close();
  card.element.remove();
  cards.delete(song);
  place('none').hidden = cards.size > 0;
}

function open(card) {
  if (mixing !== null) close();
  mixing = card;
  card.shown = true;
  card.mixer = new Mixer(card.song, choice.stemsOf(card.song.job.options.model));
  card.element.append(card.mixer.element);
  card.show();
}

function close() {
  const card = mixing;
  mixing = null;
  card.mixer.close();
  card.mixer = null;
  card.show();
}

function send(song) {
  sending = sending.then(() => song.send());
}

function take(files) {
  for (const file of files) {
    const song = new Song({ name: file.name.replace(/\.[^.]+$/, ''), file, query: choice.query });
    add(song, true);
    if (file.size > limits.upload_bytes) song.refuse(new Problem('too_large', { status: 413 }));
    else send(song);
  }
}

function follow(link) {
  const song = new Song({ name: named(link), link, query: choice.query });
  add(song, true);
  // Nothing is sent from here: it need not wait for what is.
  song.send();
}

/** The name of a link's file, as far as it has one. */
function named(link) {
  const file = new URL(link).pathname.split('/').pop().replace(/\.[^.]+$/, '');
  try {
    return decodeURIComponent(file);
  } catch {
    return file;
  }
}

function listen() {
  const [drop, files, link] = [place('drop'), place('files'), place('link')];
  link.hidden = !limits.links;
  link.addEventListener('submit', (event) => {
    event.preventDefault();
    follow(place('link-url').value);
    link.reset();
  });
  files.addEventListener('change', () => {
    take([...files.files]);
    files.value = '';
  });
  // Anywhere on the page: a file that misses the field must not take its place.
  for (const name of ['dragover', 'drop']) document.addEventListener(name, (event) => event.preventDefault());
  document.addEventListener('dragover', () => drop.classList.add('over'));
  document.addEventListener('dragleave', () => drop.classList.remove('over'));
  document.addEventListener('drop', ({ dataTransfer }) => {
    drop.classList.remove('over');
    take([...dataTransfer.files]);
  });
  offer(() => {
    for (const card of cards.values()) card.show();
  });
}

async function start() {
  say(document.querySelector('[data-word=kinds]'), 'kinds', { size: () => megabytes(limits.upload_bytes) });
  languages();
  try {
    const [asked, taken] = await Promise.all([Choice.ask(place('choice')), read('/v2/limits')]);
    choice = asked;
    Object.assign(limits, taken);
  } catch (error) {
    announce(error.sentence ?? String(error));
    place('none').textContent = error.sentence ?? String(error);
    return;
  }
  languages();
  listen();
  const songs = all().map((known) => new Song(known));
  for (const song of songs) add(song, false);
  document.documentElement.dataset.ready = '';
  performance.mark('ready');
  // One after the other, the latest first: a long list is no flood of requests.
  for (const song of songs) {
    await song.look();
    song.watch();
  }
}

start();
