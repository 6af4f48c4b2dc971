// Files for the musician's disk.

import { call } from './api.js';
import { el } from './dom.js';
import { key } from './key.js';

/** Saves what is at an address of the server. A link cannot show a key: then the file comes by way of memory. */
export async function save(path) {
  if (key() === null) return follow(path, '');
  const response = await call(path);
  const url = URL.createObjectURL(await response.blob());
  const name = /filename="([^"]+)"/.exec(response.headers.get('content-disposition') ?? '')?.[1];
  follow(url, name ?? '');
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** A link that saves. */
export function saving(path, failed) {
  const link = el('a', { href: path, download: '', class: 'button' });
  link.addEventListener('click', (event) => {
    if (key() === null) return;
    event.preventDefault();
    save(path).catch(failed);
  });
  return link;
}

function follow(href, name) {
  const link = el('a', { href, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}
