// Workers as operators see them: at work, silent, and what becomes of the task of one that died.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';

import { Bench } from './bench.js';
import { findings } from './axe.js';
import { MODEL, SMALL } from './service.js';
import { song } from './sound.js';

const { MSAAS, MSAAS_TEST_VALKEY } = process.env;
const folder = await mkdtemp(join(tmpdir(), 'msaas-workers-'));
const socket = join(folder, 'socket');
const children = [];

function run(program, args) {
  const child = spawn(program, args.map(String), { stdio: 'ignore' });
  child.ended = new Promise((end) => child.once('exit', (code, signal) => end(signal ?? code)));
  children.push(child);
  return child;
}

run(MSAAS_TEST_VALKEY, ['--port', 0, '--save', '', '--unixsocket', socket, '--dir', folder]);
while (!existsSync(socket)) await new Promise((next) => setTimeout(next, 20));

/** Silence is told after half of the lease. */
const queue = ['--redis-url', `unix://${socket}`, '--lease', 6];
const bench = new Bench('--no-worker', ...queue);

after(async () => {
  for (const child of children.reverse()) child.kill('SIGKILL');
  await Promise.all(children.map(({ ended }) => ended));
  await rm(folder, { recursive: true });
});

/** Starts a worker beside the service. */
const work = (...settings) => run(join(dirname(MSAAS), 'worker'), [...queue, ...SMALL, '--threads', 1, '--address', '127.0.0.1',
  '--admin-port', 0, '--store-dir', bench.service.store, '--temp-dir', folder, '--span-seconds', 1000, ...settings]);

const row = (page, list, text) => page.locator(`#${list} > li`, { hasText: text });
const says = (locator, text) => locator.filter({ hasText: text }).waitFor();

test('a worker that dies is seen falling silent, and its task with the one that gets it', bench.visit(async (page) => {
  await page.getByRole('link', { name: 'For operators' }).click();
  await page.getByText('No worker was heard of lately.').waitFor();
  const sent = await fetch(`${bench.service.url}/v2/jobs?model=${MODEL}&shifts=20`, { method: 'POST', body: song(40, 16_000) });
  const { id } = await sent.json();

  const doomed = work('--simulate-crash-after', 1);
  const first = row(page, 'workers', `.${doomed.pid}`);
  await says(first, `${id}:0:plan:0`);
  await says(first, 'attempt 1');
  await says(first, /Looks at A song without a name/);
  assert.equal(await doomed.ended, 'SIGKILL');
  await says(first, /Silent for 0:0\d\. Its task goes to another worker in 0:0\d\./);
  assert.deepEqual(await findings(page), []);

  const healthy = work();
  const second = row(page, 'workers', `.${healthy.pid}`);
  await says(second, 'attempt 2');
  await says(second, new RegExp(`before it: .*\\.${doomed.pid} `));
  await first.filter({ hasNotText: `.${healthy.pid}` }).waitFor({ state: 'detached' });
  await row(page, 'jobs', id).getByRole('button', { name: /^Cancel/ }).click();
  await says(second, 'Waits for work');
}));
