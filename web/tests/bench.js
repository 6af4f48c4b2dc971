// What every file of tests stands on: a service, a browser, a folder.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';

import { launch, ready, visit } from './browser.js';
import { start } from './service.js';

export class Bench {
  /** With further settings of the service as on a command line. */
  constructor(...settings) {
    before(async () => {
      this.folder = await mkdtemp(join(tmpdir(), 'msaas-page-files-'));
      [this.service, this.browser] = await Promise.all([start(settings), launch()]);
    });
    after(async () => {
      await this.browser?.close();
      await this.service?.stop();
      await rm(this.folder, { recursive: true });
    });
  }

  /** Visits the page, does something there, and has met no fault of the page at the end. */
  async visiting(action, options) {
    const page = await visit(this.browser, this.service.url, options);
    try {
      await ready(page);
      await action(page);
      assert.deepEqual(page.faults, []);
    } catch (error) {
      error.message += `\nThe page: ${await page.locator('main').innerText({ timeout: 1000 }).catch(String)}\n${page.faults.join('\n')}`;
      throw error;
    } finally {
      await page.context().close();
    }
  }

  /** A test of what a visitor does. */
  visit(action, options) {
    return () => this.visiting(action, options);
  }

  /** Writes a file. */
  async file(name, bytes) {
    const path = join(this.folder, name);
    await writeFile(path, bytes);
    return path;
  }

  /** A job as the server tells it. */
  async job(id) {
    const answer = await fetch(`${this.service.url}/v2/jobs/${id}`);
    return answer.ok ? answer.json() : { state: answer.status };
  }
}

/** Jobs that the page remembers. */
export const known = (page) => page.evaluate(() => JSON.parse(localStorage.getItem('msaas.songs') ?? '[]').map(({ id }) => id));
