// Elements, and the words in them.

import { current, t } from './words.js';

/** An element. Names with a dash and `class`, `role`, `for` are attributes, `on...` are listeners, others properties. */
export function el(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name.includes('-') || ['class', 'role', 'for'].includes(name)) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

/** Has an element say something, now and after a change of the language. Values that are functions are asked each time. */
export function say(element, key, values) {
  return attach(element, 'word', key, values);
}

/** The same for its name, where it has no text. */
export function label(element, key, values) {
  return attach(element, 'label', key, values);
}

const VALUES = new WeakMap();

function attach(element, kind, key, values) {
  element.dataset[kind] = key;
  VALUES.set(element, { ...VALUES.get(element), [kind]: values });
  tell(element, kind);
  return element;
}

function tell(element, kind) {
  const values = Object.entries(VALUES.get(element)?.[kind] ?? {});
  const asked = values.map(([name, value]) => [name, typeof value === 'function' ? value() : value]);
  const text = t(element.dataset[kind], Object.fromEntries(asked));
  if (kind === 'label') element.setAttribute('aria-label', text);
  else if (element.textContent !== text) element.textContent = text;
}

/** Has the whole page say everything again. */
export function retell() {
  document.documentElement.lang = current();
  for (const element of document.querySelectorAll('[data-word]')) tell(element, 'word');
  for (const element of document.querySelectorAll('[data-label]')) tell(element, 'label');
}

/** Tells people who do not see the page. */
export function announce(text) {
  document.getElementById('said').textContent = text;
}
