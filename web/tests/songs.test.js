// The life of songs in the list: sent, watched, found again, stopped, removed.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Bench, known } from './bench.js';
import { card, choose, data, drop, ready, reaches, send } from './browser.js';
import { song } from './sound.js';

const bench = new Bench('--threads', '1');
/** Passes that make a song take long enough to meet it on its way. */
const SLOW = 6;

const percent = (song) => song.locator('progress').evaluate((bar) => bar.value);

test('the percentage moves, with segments, speed and time left', bench.visit(async (page) => {
  await choose(page, { shifts: 2 });
  await page.evaluate(() => {
    window.told = new Set();
    new MutationObserver(() => {
      for (const place of document.querySelectorAll('#songs .state, #songs .note')) window.told.add(place.textContent);
    }).observe(document.getElementById('songs'), { childList: true, subtree: true, characterData: true });
  });
  await drop(page, data('sample.mp3'));
  await reaches(card(page, /./), 'succeeded');
  const told = await page.evaluate(() => [...window.told]);
  const percents = told.map((text) => /^Separating: (\d+) %$/.exec(text)?.[1]).filter(Boolean);
  assert.ok(percents.length >= 3, told.join('; '));
  assert.ok(told.some((text) => /^[\d,]+ of [\d,]+ segments · [\d.]+× real time · about \d+:\d\d left$/.test(text)), told.join('; '));
}));

test('a song is found again after the page was closed midway, and can be stopped, done again and removed', bench.visit(async (page) => {
  await choose(page, { shifts: SLOW });
  await drop(page, data('sample.mp3'));
  await reaches(card(page, /./), 'running');
  const [id] = await known(page);
  await page.reload();
  await ready(page);
  const found = card(page, /./);
  await reaches(found, 'running');
  assert.equal((await bench.job(id)).state, 'running');
  await page.waitForFunction(() => document.querySelector('#songs progress').value > 0);
  assert.ok(await percent(found) > 0);

  await found.getByRole('button', { name: /^Cancel/ }).click();
  await reaches(found, 'canceled');
  assert.equal((await bench.job(id)).state, 'canceled');
  await found.getByRole('button', { name: /^Try again/ }).click();
  await reaches(found, 'running');
  const [again] = await known(page);
  assert.notEqual(again, id);
  await found.getByRole('button', { name: /^Cancel/ }).click();
  await reaches(found, 'canceled');
  await found.getByRole('button', { name: /^Delete/ }).click();
  await found.waitFor({ state: 'detached' });
  assert.equal((await bench.job(again)).state, 404);
  assert.deepEqual(await known(page), []);
  await page.reload();
  await ready(page);
  assert.equal(await page.locator('#none').isVisible(), true);
}));

test('a file that is no song, and one that cannot be decoded, fail with a sentence', bench.visit(async (page) => {
  await choose(page, {});
  await send(page, await bench.file('Notes.mp3', 'This is a letter and no song.'.repeat(200)));
  const notes = card(page, 'Notes');
  await reaches(notes, 'failed');
  await notes.getByText('This is no audio file that can be used.').waitFor();
  await notes.getByRole('button', { name: /^Delete/ }).click();
  await notes.waitFor({ state: 'detached' });

  // A large one is refused before all of it is sent.
  await send(page, await bench.file('Book.mp3', 'This is a book and no song. '.repeat(2 ** 20)));
  await reaches(card(page, 'Book'), 'failed');
  await card(page, 'Book').getByText('This is no audio file that can be used.').waitFor();

  const broken = song(2, 16_000);
  broken.writeUInt16LE(0x55, 20);
  await send(page, await bench.file('Broken.wav', broken));
  await reaches(card(page, 'Broken'), 'failed');
  assert.match(await card(page, 'Broken').locator('.bad').innerText(), /be separated|no audio file/);
}));

test('two songs at once both become stems, and one waits for the other', bench.visit(async (page) => {
  await choose(page, { shifts: 1 });
  await send(page, await bench.file('First.wav', song(30, 16_000)), await bench.file('Second.wav', song(30, 16_000, 300)));
  const [first, second] = [card(page, 'First'), card(page, 'Second')];
  await reaches(second, 'queued');
  await Promise.all([reaches(first, 'succeeded'), reaches(second, 'succeeded')]);
  assert.equal(await page.locator('.mixer').count(), 1, 'the first one that is done opens its mixer');
  assert.equal((await known(page)).length, 2);
}));

test('a server that is killed and comes back costs a song nothing but time', bench.visit(async (page) => {
  await choose(page, { shifts: 2 });
  await send(page, await bench.file('Outage.wav', song(30, 16_000, 180)));
  const outage = card(page, 'Outage');
  await reaches(outage, 'running');
  await bench.service.kill();
  await outage.getByText('No connection to the server. Trying again.').waitFor();
  await bench.service.again();
  await reaches(outage, 'succeeded');
}));

test('the same song sent twice is one song', bench.visit(async (page) => {
  await choose(page, {});
  const path = await bench.file('Twice.wav', song(3, 16_000));
  await send(page, path);
  await reaches(card(page, 'Twice'), 'succeeded');
  await send(page, path);
  await page.waitForFunction(() => document.querySelectorAll('#songs article[data-state=succeeded]').length === 1 && document.querySelectorAll('#songs > li').length === 1);
  assert.equal((await known(page)).length, 1);
}));

test('only the stems that are chosen are made', bench.visit(async (page) => {
  await choose(page, { what: 'some' });
  for (const name of ['Drums', 'Other', 'Guitar', 'Piano']) await page.getByRole('checkbox', { name }).uncheck();
  await send(page, await bench.file('Chosen.wav', song(3, 16_000)));
  const chosen = card(page, 'Chosen');
  await reaches(chosen, 'succeeded');
  await chosen.getByText(/^On the server until /).waitFor();
  assert.deepEqual(await chosen.locator('.lane .name').allInnerTexts(), ['Bass', 'Vocals']);
}));

test('vocals and instrumental are two stems, whose mix is made of all of them', bench.visit(async (page) => {
  await choose(page, { what: 'two:vocals', format: 'flac24' });
  await send(page, await bench.file('Karaoke.wav', song(5, 16_000)));
  const karaoke = card(page, 'Karaoke');
  await reaches(karaoke, 'succeeded');
  await page.getByText('Loading the stems').waitFor({ state: 'hidden' });
  assert.deepEqual(await karaoke.locator('.lane .name').allInnerTexts(), ['Vocals', 'Without vocals']);
  await karaoke.getByRole('slider', { name: 'Volume of Vocals' }).fill('0.25');
  const asked = page.waitForRequest((request) => request.method() === 'HEAD');
  await Promise.all([page.waitForEvent('download'), karaoke.getByRole('button', { name: 'Download this mix' }).click()]);
  const gains = new URL((await asked).url()).searchParams.get('gains').split(',').sort();
  assert.deepEqual(gains, ['bass:1', 'drums:1', 'guitar:1', 'other:1', 'piano:1', 'vocals:0.25']);
}));
