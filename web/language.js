// The buttons of the languages, which every page has.

import { retell } from './dom.js';
import { choose, current } from './words.js';

const buttons = () => document.querySelectorAll('[data-language]');

/** Has the page say everything in the language that is chosen. */
export function languages() {
  retell();
  for (const button of buttons()) button.setAttribute('aria-pressed', String(button.dataset.language === current()));
}

/** Lets people choose; `changed` says again what no element says by itself. */
export function offer(changed) {
  for (const button of buttons()) {
    button.addEventListener('click', () => {
      choose(button.dataset.language);
      languages();
      changed();
    });
  }
}
