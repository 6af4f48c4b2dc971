// Draws the pictures of the page that the documents show: `node pictures.js FOLDER`, with the official network.

import { join } from 'node:path';

import { card, choose, data, launch, reaches, ready, send, visit } from './browser.js';
import { start } from './service.js';

const [folder] = process.argv.slice(2);
const network = ['--model', 'htdemucs'];
const [service, browser] = await Promise.all([start([], network), launch()]);
for (const [name, options] of [
  ['page', { viewport: { width: 1000, height: 700 } }],
  ['page-on-a-phone', { viewport: { width: 360, height: 780 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, colorScheme: 'dark', locale: 'pt-PT' }],
]) {
  const page = await visit(browser, service.url, options);
  await ready(page);
  await choose(page, { model: 'htdemucs' });
  await send(page, data('short-sample.mp3'));
  const song = card(page, /./);
  await reaches(song, 'succeeded', 300_000);
  await song.locator('.wave path').nth(3).waitFor();
  // As it looks in use: a place in the song, a section, a soloed stem.
  await page.waitForFunction(() => document.querySelector('.mixer [role=status]').textContent === '');
  const wave = song.locator('.wave').first();
  const { width } = await wave.boundingBox();
  await wave.click({ position: { x: width * 0.4, y: 10 } });
  await song.getByRole('button', { name: /^(Loop from here|Repetir daqui)$/ }).click();
  await song.locator('.toggle.solo').last().click();
  await page.mouse.move(0, 0);
  if (!options.isMobile) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true });
  else {
    await song.scrollIntoViewIfNeeded();
    await song.evaluate((element) => window.scrollTo(0, element.offsetTop - 8));
    await page.screenshot({ path: join(folder, `${name}.png`) });
  }
  await page.context().close();
}
await browser.close();
await service.stop();
