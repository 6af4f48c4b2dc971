// Songs by a link: the server fetches them, where it takes links.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, test } from 'node:test';

import { Bench } from './bench.js';
import { card, choose, reaches } from './browser.js';
import { song } from './sound.js';

/** The other side. What is behind a path may change. */
const files = new Map([['/far%20away.wav', song(3, 16_000)], ['/letter.wav', Buffer.from('This is a letter and no song.')]]);
const other = createServer((request, answer) => {
  const [path] = request.url.split('?');
  if (path === '/silent.wav') return;
  answer.writeHead(files.has(path) ? 200 : 404).end(files.get(path));
}).listen(0, '127.0.0.1');
await once(other, 'listening');
after(() => {
  other.closeAllConnections();
  other.close();
});
const { port } = other.address();
const at = (path) => `http://127.0.0.1:${port}${path}`;

const bench = new Bench('--threads', '1', '--links', '--link-allow', `127.0.0.1:${port}`);
const closed = new Bench('--no-worker');

async function follow(page, link) {
  await page.getByLabel('Or the link to a file').fill(link);
  await page.getByRole('button', { name: 'Fetch it' }).click();
}

test('a song behind a link becomes stems', bench.visit(async (page) => {
  await choose(page, { format: 'flac16' });
  await follow(page, at('/far%20away.wav?of=the+band'));
  const far = card(page, 'far away');
  await reaches(far, 'succeeded');
  await far.getByText(/^On the server until /).waitFor();
  assert.equal(await page.getByLabel('Or the link to a file').inputValue(), '');
  await far.getByRole('link', { name: 'Download Drums' }).waitFor();
}));

test('a link that leads to nothing says so and can be tried again', bench.visit(async (page) => {
  await choose(page, {});
  await follow(page, at('/later.wav'));
  const later = card(page, 'later');
  await reaches(later, 'failed');
  await later.getByText('The file behind the link cannot be fetched: the server behind the link answered 404 Not Found').waitFor();
  files.set('/later.wav', song(2, 16_000, 500));
  await later.getByRole('button', { name: /^Try again/ }).click();
  await reaches(later, 'succeeded');
}));

test('what cannot become a song is refused for good', bench.visit(async (page) => {
  for (const [link, name, sentence] of [
    ['http://127.0.0.1:9/inside.wav', 'inside', 'It has to lead to a file on the public internet.'],
    [at('/letter.wav'), 'letter', 'This is no audio file that can be used.'],
  ]) {
    await follow(page, link);
    const refused = card(page, name);
    await reaches(refused, 'failed');
    await refused.getByText(sentence).waitFor();
    assert.equal(await refused.getByRole('button', { name: /^Try again/ }).isVisible(), false);
    await refused.getByRole('button', { name: /^Delete/ }).click();
    await refused.waitFor({ state: 'detached' });
  }
}));

test('what does not come can be canceled', bench.visit(async (page) => {
  await follow(page, at('/silent.wav'));
  const silent = card(page, 'silent');
  await reaches(silent, 'fetching');
  await silent.getByText('The server fetches it').waitFor();
  await silent.getByRole('button', { name: /^Cancel/ }).click();
  await silent.waitFor({ state: 'detached' });
}));

test('where no links are taken none is asked for', closed.visit(async (page) => {
  assert.equal(await page.getByLabel('Or the link to a file').isVisible(), false);
}));
