// What is heard, and what is saved.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

import { Bench, known } from './bench.js';
import { card, choose, data, drop, hears, loudest, reaches, saved, send } from './browser.js';
import { MODEL, STEMS, msaas } from './service.js';
import { scaled, song } from './sound.js';

const bench = new Bench();
const loaded = (page) => page.getByText('Loading the stems').waitFor({ state: 'hidden' });
const position = async (song) => Number(await song.getByRole('slider', { name: 'Position' }).inputValue());

test('a dropped song becomes stems that are heard as they are and saved as they are heard', bench.visit(async (page) => {
  await choose(page, { format: 'wav32', clip: 'none' });
  await drop(page, data('short-sample.mp3'));
  const slow = card(page, 'Slow Stream Home');
  await reaches(slow, 'succeeded');
  await loaded(page);
  assert.equal(await slow.locator('.cover').isVisible(), true);
  const [id] = await known(page);

  // Solo, mute and volume, as they come out of the page.
  const press = (name) => slow.getByRole('button', { name, exact: true }).click();
  const fade = (name, value) => slow.getByRole('slider', { name }).fill(String(value));
  await press('Play');
  await hears(page, id, Object.fromEntries(STEMS.map((name) => [name, 1])));
  await press('Solo Drums');
  await hears(page, id, { drums: 1 });
  await press('Solo Bass');
  await fade('Volume of Bass', 0.5);
  const place = await hears(page, id, { drums: 1, bass: 0.5 });
  const shown = await position(slow);
  assert.ok(Math.abs(shown - place) < 2, `${shown} s is shown, ${place} s is heard`);
  await press('Mute Drums');
  await hears(page, id, { bass: 0.5 });
  await press('Mute Bass');
  await page.waitForFunction(() => {
    const heard = new Float32Array(2048);
    window.heard.analyser.getFloatTimeDomainData(heard);
    return heard.every((sample) => sample === 0);
  });
  assert.equal(await loudest(page), 0);
  await press('Mute Bass');
  await press('Mute Drums');
  await press('Pause');

  // What is saved is what the server has, and the mix is the sum.
  const stems = Object.fromEntries((await bench.job(id)).stems.map((stem) => [stem.name, stem]));
  const paths = {};
  for (const name of STEMS) {
    const path = await saved(page, slow.getByRole('link', { name: `Download ${name}` }), bench.folder);
    assert.equal(createHash('sha256').update(await readFile(path)).digest('hex'), stems[name].sha256);
    paths[name] = path;
  }
  const mix = await saved(page, slow.getByRole('button', { name: 'Download this mix' }), bench.folder);
  const half = await bench.file('half.wav', scaled(await readFile(paths.bass), 0.5));
  msaas('compare', mix, paths.drums, half, '--aligned', '--min-sdr', '90');
  const zip = await readFile(await saved(page, slow.getByRole('link', { name: 'Everything as ZIP' }), bench.folder));
  for (const name of STEMS) assert.ok(zip.includes(await readFile(paths[name])), name);

  // The command line gets the same.
  msaas('fetch', id, '--out', join(bench.folder, 'fetched'), '--server', bench.service.url, '--quiet');
  const fetched = join(bench.folder, 'fetched', MODEL);
  const [title] = await readdir(fetched);
  for (const name of STEMS) msaas('compare', join(fetched, title, `${name}.wav`), paths[name], '--aligned', '--min-sdr', '100');
}));

test('clicks, drags and keys move the song, and a section repeats', bench.visit(async (page) => {
  await choose(page, { format: 'wav16' });
  await send(page, await bench.file('Loops.wav', song(12, 16_000)));
  const loops = card(page, 'Loops');
  await reaches(loops, 'succeeded');
  await loaded(page);
  const near = async (seconds) => assert.ok(Math.abs(await position(loops) - seconds) < 0.2, `${await position(loops)} instead of ${seconds}`);
  const box = await loops.locator('.wave').first().boundingBox();
  const y = box.y + box.height / 2;
  await page.mouse.click(box.x + box.width / 2, y);
  await near(6);
  await loops.locator('.mixer').focus();
  for (const [key, seconds] of [['ArrowRight', 11], ['Shift+ArrowLeft', 10], ['Home', 0]]) {
    await page.keyboard.press(key);
    await near(seconds);
  }
  await page.keyboard.press('2');
  assert.equal(await loops.getByRole('button', { name: 'Mute Bass' }).getAttribute('aria-pressed'), 'true');
  await page.keyboard.press('Shift+Digit2');
  assert.equal(await loops.getByRole('button', { name: 'Solo Bass' }).getAttribute('aria-pressed'), 'true');

  // A drag from a quarter to a third is a loop of one second, which is left by itself never.
  await page.mouse.move(box.x + box.width / 4, y);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width / 3, y);
  await page.mouse.up();
  await loops.getByText('Loop: 0:03 to 0:04').waitFor();
  await page.keyboard.press('Space');
  await loops.getByRole('button', { name: 'Pause' }).waitFor();
  const places = await page.evaluate(async () => {
    const [slider, places] = [document.querySelector('input.position'), []];
    const { context } = window.heard;
    for (const began = context.currentTime; context.currentTime < began + 2.5;) {
      await new Promise((next) => requestAnimationFrame(next));
      places.push(Number(slider.value));
    }
    return places;
  });
  assert.ok(Math.min(...places) >= 2.9 && Math.max(...places) <= 4.1, `${Math.min(...places)} to ${Math.max(...places)}`);
  const turns = places.filter((place, n) => n > 0 && place < places[n - 1]);
  assert.ok(turns.length >= 2, `${turns.length} turns`);
  await page.keyboard.press('\\');
  await page.keyboard.press('Space');
  await loops.getByRole('button', { name: 'Play' }).waitFor();
}));

test('the sound thread repeats a section and lets a late stem join without losing a sample', bench.visit(async (page) => {
  const faults = await page.evaluate(async () => {
    const { Graph } = await import('/web/graph.js');
    const { Buffers } = await import('/web/buffers.js');
    const rate = 44_100;
    const context = new OfflineAudioContext(2, 4 * rate, rate);
    const graph = new Graph(context);
    const buffers = new Buffers(graph);
    // WAV of 32-bit floats is decoded as it is.
    const wav = (samples) => {
      const head = new DataView(new ArrayBuffer(44));
      const text = (at, word) => [...word].forEach((letter, n) => head.setUint8(at + n, letter.charCodeAt(0)));
      ['RIFF', 'WAVEfmt ', 'data'].forEach((word, n) => text([0, 8, 36][n], word));
      [[4, 36 + samples.byteLength], [16, 16], [24, rate], [28, rate * 4], [40, samples.byteLength]].forEach(([at, value]) => head.setUint32(at, value, true));
      [[20, 3], [22, 1], [32, 4], [34, 32]].forEach(([at, value]) => head.setUint16(at, value, true));
      return new Response(new Blob([head, samples]));
    };
    const noise = Float32Array.from({ length: 3 * rate }, (_, n) => Math.sin(n * n * 1e-4));
    for (const [name, gain] of [['one', 1], ['other', -1]]) {
      graph.add(name);
      graph.set(name, { gain });
      await buffers.load(name, wav(noise));
    }
    const section = { from: 1, to: 1.5 };
    buffers.start(0.25, 0.5, section, ['one']);
    // One frame of the clock later than a second: its place in the song is so much later too.
    const late = 1 + 1 / rate;
    buffers.start(late, 1.25 + 1 / rate, section, ['other']);
    const [left] = [(await context.startRendering()).getChannelData(0)];
    let [wrong, apart] = [0, 0];
    for (let n = 0; n < left.length; n++) {
      const place = 0.5 * rate + (n - 0.25 * rate);
      const frame = place < 1.5 * rate ? place : rate + ((place - rate) % (0.5 * rate));
      const expected = n < 0.25 * rate ? 0 : noise[frame];
      if (n < late * rate) wrong = Math.max(wrong, Math.abs(left[n] - expected));
      else apart = Math.max(apart, Math.abs(left[n]));
    }
    return { wrong, apart };
  });
  assert.ok(faults.wrong < 1e-6 && faults.apart < 1e-6, JSON.stringify(faults));
}));

test('a song that is too long for memory is streamed, and its stems stay together', bench.visit(async (page) => {
  await choose(page, { format: 'mp3' });
  await send(page, await bench.file('Endless.wav', song(20, 16_000, 330)));
  await reaches(card(page, 'Endless'), 'succeeded');
  const [id] = await known(page);
  const apart = await page.evaluate(async (id) => {
    const { Player } = await import('/web/player.js');
    const { stems } = await (await fetch(`/v2/jobs/${id}`)).json();
    const elements = [];
    const { Audio } = window;
    window.Audio = class extends Audio {
      constructor() {
        super();
        elements.push(this);
      }
    };
    const player = new Player({ count: stems.length, ...stems[0] }, 0);
    await Promise.all(stems.map(({ name, url }) => player.add(name, url)));
    player.seek(5);
    await player.play();
    while (player.position < 8) await new Promise((next) => requestAnimationFrame(next));
    const places = elements.map((element) => element.currentTime);
    const streamed = player.streamed;
    player.close();
    return { streamed, count: places.length, apart: Math.max(...places) - Math.min(...places), first: Math.min(...places) };
  }, id);
  assert.ok(apart.streamed && apart.count === STEMS.length && apart.apart < 0.15 && apart.first > 7, JSON.stringify(apart));
}));
