// What operators see and do: the queue, what was given up, beginning anew.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { PHONE, findings } from './axe.js';
import { Bench } from './bench.js';
import { MODEL } from './service.js';
import { song } from './sound.js';

const digest = (key) => createHash('sha256').update(key).digest('hex');
const KEYS = `${digest('of a singer')} band;${digest('of the house')} band operator`;
const [bench, closed] = [new Bench('--threads', '1'), new Bench('--auth', 'key', '--keys', KEYS)];

/** Tells where WAV files of MP3 begin, which look like songs and cannot be decoded. */
const KIND = 20;

/** Visits the page of operators. */
const visit = (action, options) => bench.visit(async (page) => {
  await page.getByRole('link', { name: /^(For operators|Para operadores)$/ }).click();
  await page.waitForSelector('html[data-ready] #jobs', { state: 'attached' });
  await action(page);
}, options);

/** Sends a song as a program does, and gives its job. */
async function submit(bytes, query = '') {
  const answer = await fetch(`${bench.service.url}/v2/jobs?model=${MODEL}${query}`, { method: 'POST', body: bytes });
  assert.equal(answer.status, 202, await answer.clone().text());
  return (await answer.json()).id;
}

async function broken(pitch) {
  const bytes = song(2, 16_000, pitch);
  bytes.writeUInt16LE(0x55, KIND);
  return submit(bytes);
}

const row = (page, list, id) => page.locator(`#${list} > li`, { hasText: id });
const figure = (page, name) => page.locator(`[data-depth=${name}]`);
const says = (locator, text) => locator.filter({ hasText: text }).waitFor();

test('the queue is seen as it moves, and a job is stopped and deleted', visit(async (page) => {
  await page.getByText('No jobs.').waitFor();
  const running = await submit(song(30, 16_000, 200), '&shifts=6');
  const queued = await submit(song(30, 16_000, 210), '&shifts=6');
  const [first, second] = [row(page, 'jobs', running), row(page, 'jobs', queued)];
  await says(first, /Separating: \d+ %/);
  await says(second, 'In the queue');
  await says(first, /0\.9 MiB/);
  await says(first, /runs for \d+:\d\d/);
  await says(figure(page, 'jobs'), /^2$/);
  assert.equal(await page.locator('#jobs > li').first().getAttribute('data-state'), 'running');

  await second.getByRole('button', { name: /^Cancel/ }).click();
  await says(page.locator('#done'), /^Canceled: /);
  await says(second, 'Canceled');
  await second.getByRole('button', { name: /^Delete/ }).click();
  await second.waitFor({ state: 'detached' });
  assert.equal((await bench.job(queued)).state, 404);
  await first.getByRole('button', { name: /^Cancel/ }).click();
  await says(first, 'Canceled');
  await says(figure(page, 'jobs'), /^0$/);
}));

test('what was given up is listed with its reason, done again, and taken off the list', visit(async (page) => {
  const id = await broken(220);
  const given = row(page, 'dead', id);
  await given.waitFor();
  assert.notEqual(await given.locator('.bad').innerText(), '');
  await says(figure(page, 'dead'), /^1$/);
  await given.getByRole('button', { name: /^Do it again/ }).press('Enter');
  await says(page.locator('#done'), /^Done again as a new job/);
  await given.waitFor({ state: 'detached' });
  // Its cause was not mended.
  const again = page.locator('#dead > li');
  await again.waitFor();
  const jobs = await (await fetch(`${bench.service.url}/v2/jobs?state=failed`)).json();
  assert.equal(jobs.jobs.length, 2);
  await again.getByRole('button', { name: /^Take off the list/ }).click();
  await page.getByText('Nothing was given up.').waitFor();
  await says(figure(page, 'dead'), /^0$/);
}));

for (const [name, options] of [['light', {}], ['dark', { colorScheme: 'dark' }], ['a phone', PHONE]]) {
  test(`a check of accessibility finds nothing, and nothing is too wide: ${name}`, visit(async (page) => {
    await row(page, 'dead', await broken(230 + name.length)).waitFor();
    assert.deepEqual(await findings(page), []);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(wide <= 0, `${wide} pixels`);
    await page.getByRole('button', { name: 'Reset the service' }).click();
    assert.deepEqual(await findings(page), []);
  }, options));
}

test('it speaks both languages', visit(async (page) => {
  assert.equal(await page.title(), 'Para operadores');
  await page.getByRole('button', { name: 'Recomeçar o serviço' }).waitFor();
  await says(page.locator('#dead > li').first(), 'Desistência: ');
  await page.getByRole('button', { name: 'English' }).click();
  await says(page.locator('#dead > li').first(), 'Given up: ');
  assert.equal(await page.title(), 'For operators');
}, { locale: 'pt-BR' }));

test('a service that is away is told, and what was seen stays', visit(async (page) => {
  const before = await page.locator('#jobs > li').count();
  assert.ok(before > 0);
  await bench.service.kill();
  await says(page.locator('#trouble'), 'No connection to the server. Trying again.');
  assert.equal(await page.locator('#jobs > li').count(), before);
  await bench.service.again();
  await page.waitForFunction(() => document.getElementById('trouble').textContent === '');
}));

test('a reset asks for a word, and then nothing is left', visit(async (page) => {
  const job = await submit(song(30, 16_000, 250), '&shifts=6');
  await row(page, 'jobs', job).waitFor();
  const open = page.getByRole('button', { name: 'Reset the service' });
  const [word, go] = [page.getByLabel('Type the word “reset”'), page.getByRole('button', { name: 'Remove everything' })];
  await open.click();
  await word.fill('rest');
  assert.ok(await go.isDisabled());
  await word.press('Escape');
  await word.waitFor({ state: 'hidden' });
  assert.notEqual((await bench.job(job)).state, 404);
  await open.click();
  await word.fill('reset');
  await word.press('Enter');
  await says(page.locator('#done'), 'The service was reset.');
  await page.getByText('No jobs.').waitFor();
  await page.getByText('Nothing was given up.').waitFor();
  await says(figure(page, 'jobs'), /^0$/);
  assert.equal((await bench.job(job)).state, 404);
}));

test('without the right to operate the page says so and takes another key', async () => {
  const page = await closed.browser.newPage({ locale: 'en-GB' });
  await page.goto(`${closed.service.url}/operators`);
  const [field, use] = [page.getByLabel('Key', { exact: true }), page.getByRole('button', { name: 'Use it' })];
  const other = page.getByRole('button', { name: 'Use another key' });
  await page.getByRole('button', { name: 'Not now' }).click();
  await page.getByText('This server asks for a key.').waitFor();
  await other.click();
  await field.fill('of a singer');
  await use.click();
  await page.getByText('This key has no right to operate the service.').waitFor();
  await other.click();
  await field.fill('of the house');
  await use.click();
  await page.getByText('No jobs.').waitFor();
  assert.equal(await page.locator('#trouble').innerText(), '');
  assert.equal(await other.isVisible(), false);
  await page.close();
});
