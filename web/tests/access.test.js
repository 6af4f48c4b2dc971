// For everyone: small and quick, on a phone, with a screen reader, in both languages, with a key.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

import { PHONE, findings } from './axe.js';
import { Bench, known } from './bench.js';
import { card, choose, reaches, ready, saved, send } from './browser.js';
import { song } from './sound.js';

const key = 'a key of the band';
const digest = createHash('sha256').update(key).digest('hex');
const [bench, closed] = [new Bench(), new Bench('--auth', 'key', '--auth-old', 'key', '--keys', `${digest} band`)];

/** Sends a short song and waits for its mixer. */
async function mixer(page, name, seconds = 4) {
  await choose(page, {});
  await send(page, await bench.file(`${name}.wav`, song(seconds, 16_000)));
  await reaches(card(page, name), 'succeeded');
  await page.getByText('Loading the stems').waitFor({ state: 'hidden' });
  return card(page, name);
}

test('the first load is small, and the page can be used within a second', bench.visit(async (page) => {
  const { bytes, took } = await page.evaluate(() => {
    const loads = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
    return { bytes: loads.reduce((sum, load) => sum + load.transferSize, 0), took: performance.getEntriesByName('ready')[0].startTime };
  });
  assert.ok(bytes > 10_000 && bytes < 150 * 1024, `${bytes} bytes`);
  assert.ok(took < 1000, `${took} ms`);
  console.log(`# ${Math.round(bytes / 1024)} KiB, ready after ${Math.round(took)} ms`);
}));

test('waveforms of a song of four minutes are drawn within half a second of its stems', bench.visit(async (page) => {
  await choose(page, { format: 'wav16' });
  await page.evaluate(() => {
    const times = {};
    new MutationObserver(() => {
      const [stems, drawn] = [document.querySelectorAll('.stems > li').length, document.querySelectorAll('.wave path').length];
      if (stems > 0) times.first ??= performance.now();
      if (stems === 6) times.stems ??= performance.now();
      if (drawn === 6) times.drawn ??= performance.now();
    }).observe(document.getElementById('songs'), { childList: true, subtree: true });
    window.times = times;
  });
  await send(page, await bench.file('Long.wav', song(240, 8000)));
  await page.waitForFunction(() => window.times.drawn !== undefined, null, { timeout: 100_000 });
  const { stems, drawn } = await page.evaluate(() => window.times);
  console.log(`# drawn after ${Math.round(drawn - stems)} ms`);
  assert.ok(drawn - stems < 500, `${drawn - stems} ms`);
}));

for (const [name, options] of [['light', {}], ['dark', { colorScheme: 'dark' }], ['a phone', PHONE]]) {
  test(`a check of accessibility finds nothing: ${name}`, bench.visit(async (page) => {
    assert.deepEqual(await findings(page), []);
    const song = await mixer(page, `Access ${name}`);
    await song.getByRole('button', { name: 'Solo Drums' }).click();
    assert.deepEqual(await findings(page), []);
  }, options));
}

test('on a phone nothing is wider than the window, and fingers find the controls', bench.visit(async (page) => {
  const song = await mixer(page, 'Pocket');
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  for (const button of await song.getByRole('button').all()) {
    const { width, height } = await button.boundingBox();
    assert.ok(width >= 24 && height >= 24, await button.innerText());
  }
  await song.getByRole('button', { name: 'Play' }).tap();
  await song.getByRole('button', { name: 'Pause' }).waitFor();
}, PHONE));

test('it speaks the language of the browser, and the other one when it is asked to', bench.visit(async (page) => {
  assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), 'Separação de música');
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'pt');
  const song = await mixer(page, 'Fado');
  assert.deepEqual((await song.locator('.lane .name').allInnerTexts()).slice(0, 4), ['Bateria', 'Baixo', 'Outros', 'Voz']);
  await page.getByRole('button', { name: 'English' }).click();
  assert.deepEqual((await song.locator('.lane .name').allInnerTexts()).slice(0, 4), ['Drums', 'Bass', 'Other', 'Vocals']);
  await page.reload();
  await ready(page);
  assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), 'Music separation');
  const lacks = await page.evaluate(async () => {
    const { en, pt } = (await import('/web/words.js')).LANGUAGES;
    const values = (text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort().join();
    return [...Object.keys(en), ...Object.keys(pt)].filter((word) => !(word in en && word in pt && values(en[word]) === values(pt[word])));
  });
  assert.deepEqual(lacks, []);
}, { locale: 'pt-BR' }));

test('where the server wants a key the page asks for it and keeps it', async () => {
  const page = await closed.browser.newPage();
  await page.goto(closed.service.url);
  const [field, use] = [page.getByLabel('Key', { exact: true }), page.getByRole('button', { name: 'Use it' })];
  await field.fill('a wrong one');
  await use.click();
  await page.getByText('That key is not known here.').waitFor();
  await field.fill(key);
  await use.click();
  await ready(page);
  await choose(page, {});
  await send(page, await closed.file('Secret.wav', song(3, 16_000)));
  const secret = card(page, 'Secret');
  await reaches(secret, 'succeeded');
  const path = await saved(page, secret.getByRole('link', { name: 'Download Drums' }), closed.folder);
  assert.ok((await readFile(path)).length > 1000 && path.endsWith('-drums.mp3'));
  await page.reload();
  await ready(page);
  await reaches(secret, 'succeeded');
  assert.equal((await known(page)).length, 1);
  await page.close();
});
