// A real Chromium, and what a person does with the page in it.

import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { chromium } from 'playwright-core';

import { MODEL } from './service.js';

const QUIET = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-audio-output'];

export const data = (name) => join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '../../data', name);

export const launch = () => chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, chromiumSandbox: false, args: QUIET,
});

/** Opens the page as a person of some country and window does, with nothing remembered. */
export async function visit(browser, url, options = {}) {
  const context = await browser.newContext({ locale: 'en-GB', viewport: { width: 1200, height: 900 }, ...options });
  await context.addInitScript(tap);
  const page = await context.newPage();
  page.faults = [];
  page.on('pageerror', (error) => page.faults.push(String(error)));
  page.on('console', (line) => /Content Security Policy/.test(line.text()) && page.faults.push(line.text()));
  page.on('dialog', (dialog) => dialog.accept());
  await page.goto(url);
  return page;
}

/** Waits until songs can be dropped. */
export const ready = (page) => page.waitForSelector('html[data-ready]', { state: 'attached' });

/** Puts values into the options. */
export async function choose(page, values) {
  const folded = page.locator('#choice details');
  await folded.evaluate((details) => { details.open = true; });
  for (const [name, value] of Object.entries({ model: MODEL, ...values })) {
    const field = page.locator(`#choice [name=${name}]`);
    if (await field.evaluate((place) => place.tagName === 'SELECT')) await field.selectOption(String(value));
    else await field.fill(String(value));
  }
  await folded.evaluate((details) => { details.open = false; });
}

export const send = (page, ...files) => page.setInputFiles('#files', files);

/** Drops a file onto the page, as from a desktop. */
export async function drop(page, path) {
  const bytes = (await readFile(path)).toString('base64');
  const transfer = await page.evaluateHandle(([text, name]) => {
    const transfer = new DataTransfer();
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type: 'audio/mpeg' }));
    return transfer;
  }, [bytes, basename(path)]);
  await page.dispatchEvent('#drop', 'drop', { dataTransfer: transfer });
}

export const card = (page, title) => page.locator('#songs > li', { has: page.getByRole('heading', { name: title }) });

/** Waits until a song's card is in a state. */
export const reaches = (song, state, timeout = 100_000) => song.locator(`article[data-state=${state}]`).waitFor({ timeout });

/** Presses what saves a file and gives its path. */
export async function saved(page, locator, folder) {
  const [download] = await Promise.all([page.waitForEvent('download', { timeout: 60_000 }), locator.click()]);
  const path = join(folder, download.suggestedFilename());
  await download.saveAs(path);
  return path;
}

/** Runs in the page: hears what goes to the loudspeakers. */
function tap() {
  const { connect } = AudioNode.prototype;
  AudioNode.prototype.connect = function (to, ...rest) {
    if (to instanceof AudioDestinationNode && this.context instanceof AudioContext) {
      const analyser = new AnalyserNode(this.context, { fftSize: 2048 });
      connect.call(this, analyser);
      window.heard = { context: this.context, analyser };
    }
    return connect.call(this, to, ...rest);
  };
}

/**
 * Waits until what is heard is, sample by sample, the sum of these stems with these gains, at one and the same place of all of
 * them; gives that place in seconds. Stems that are a single sample apart from each other never fit.
 */
export function hears(page, id, gains) {
  return page.evaluate(async ([id, gains]) => {
    const { context, analyser } = window.heard;
    const size = analyser.fftSize;
    const sum = [];
    for (const [name, gain] of Object.entries(gains)) {
      const bytes = await (await fetch(`/v2/jobs/${id}/stems/${name}`)).arrayBuffer();
      const decoded = await new OfflineAudioContext(2, 1, context.sampleRate).decodeAudioData(bytes);
      const [left, right] = [decoded.getChannelData(0), decoded.getChannelData(1)];
      // An analyser hears both channels as one.
      for (let n = 0; n < left.length; n++) sum[n] = (sum[n] ?? 0) + gain * 0.5 * (left[n] + right[n]);
    }
    const heard = new Float32Array(size);
    const fits = (from) => {
      for (let n = 0; n < size; n++) if (Math.abs(heard[n] - sum[from + n]) > 2e-4) return false;
      return true;
    };
    for (let tries = 0; tries < 300; tries++) {
      await new Promise((next) => requestAnimationFrame(next));
      analyser.getFloatTimeDomainData(heard);
      if (Math.max(...heard.map(Math.abs)) < 2e-3) continue;
      for (let from = 0; from + size <= sum.length; from++) if (fits(from)) return from / context.sampleRate;
    }
    throw new Error(`never heard: ${JSON.stringify(gains)}`);
  }, [id, gains]);
}

/** Largest sample that is heard in a while. */
export const loudest = (page) => page.evaluate(async () => {
  const heard = new Float32Array(window.heard.analyser.fftSize);
  let most = 0;
  for (let frames = 0; frames < 20; frames++) {
    await new Promise((next) => requestAnimationFrame(next));
    window.heard.analyser.getFloatTimeDomainData(heard);
    most = Math.max(most, ...heard.map(Math.abs));
  }
  return most;
});
