// The whole service as a child process, with a small network whose size only costs time.

import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const { MSAAS, MSAAS_MODEL_DIR } = process.env;

/** The network that the service has. */
export const MODEL = 'htdemucs_6s';
export const STEMS = ['drums', 'bass', 'other', 'vocals', 'guitar', 'piano'];

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((ready) => server.once('listening', ready));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

/** Settings that name this network. */
export const SMALL = ['--model', MODEL, '--model-dir', MSAAS_MODEL_DIR, '--offline'];

/** Starts it, with settings as on a command line. */
export async function start(settings = [], network = SMALL) {
  const folder = await mkdtemp(join(tmpdir(), 'msaas-page-'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const args = ['serve', '--address', '127.0.0.1', '--port', port, '--admin-port', 0, '--grpc-port', 0,
    '--store-dir', join(folder, 'store'), '--temp-dir', folder, ...network, ...settings];
  const run = async () => {
    const child = spawn(MSAAS, args.map(String), { stdio: ['ignore', 'inherit', 'ignore'] });
    child.ended = new Promise((end) => child.once('exit', end));
    while (!(await fetch(url).then((answer) => answer.ok, () => false))) {
      if (child.exitCode !== null) throw new Error(`the service ended with ${child.exitCode}`);
      await new Promise((next) => setTimeout(next, 50));
    }
    return child;
  };
  const end = async (signal) => {
    child.kill(signal);
    await child.ended;
  };
  let child = await run();
  return {
    url,
    /** Where songs and stems are. */
    store: join(folder, 'store'),
    /** As a power failure does. */
    kill: () => end('SIGKILL'),
    /** Again, with the same address and the same folder. */
    again: async () => {
      child = await run();
    },
    stop: async () => {
      await end('SIGTERM');
      await rm(folder, { recursive: true });
    },
  };
}

/** Runs the command line; it has to succeed. */
export function msaas(...args) {
  const { status, stdout, stderr } = spawnSync(MSAAS, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`msaas ${args.join(' ')}: ${stdout}${stderr}`);
  return stdout;
}
