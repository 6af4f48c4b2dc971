// What an automated check of accessibility finds.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';

const AXE = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

/** The window of a phone. */
export const PHONE = { viewport: { width: 360, height: 740 }, isMobile: true, hasTouch: true, deviceScaleFactor: 2 };

/** What it finds on a page, in words. */
export async function findings(page) {
  await page.evaluate(AXE);
  const { violations, passes } = await page.evaluate((rules) => window.axe.run({ runOnly: rules }), RULES);
  assert.ok(passes.length > 15, `${passes.length} rules were applied`);
  return violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('; ')}`);
}
