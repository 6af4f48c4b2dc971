// The server as the page sees it.

import { ask, key } from './key.js';
import { known, megabytes, t } from './words.js';

/** What went wrong, with a stable word for it. */
export class Problem extends Error {
  constructor(code, { status = 0, detail = '', request_id: request = '' } = {}) {
    super(detail || code);
    Object.assign(this, { code, status, detail, request });
  }

  static async of(response) {
    const body = await response.json().catch(() => ({}));
    return new Problem(body.code ?? 'other', { ...body, status: response.status });
  }

  /** Whether it may be over in a moment. */
  get passes() {
    return this.code === 'offline' || this.status === 429 || this.status >= 500;
  }

  /** A sentence for people. */
  get sentence() {
    const word = known(`error.${this.code}`) ? `error.${this.code}` : 'error.other';
    const { detail, request } = this;
    return t(word, { detail: detail || this.code, request, size: megabytes(limits.upload_bytes) });
  }
}

/** How much the server takes; as it tells once it is asked. */
export const limits = { upload_bytes: 200 << 20, links: false };

const shows = (shown) => (shown === null ? {} : { authorization: `Bearer ${shown}` });

/** A request that ends well, or a [`Problem`]. Asks for a key where one is wanted. */
export async function call(path, { headers = {}, ...rest } = {}) {
  for (;;) {
    const shown = key();
    let response;
    try {
      response = await fetch(path, { ...rest, headers: { ...headers, ...shows(shown) } });
    } catch (error) {
      throw error.name === 'AbortError' ? error : new Problem('offline');
    }
    if (response.status === 401 && await ask(shown)) continue;
    if (!response.ok) throw await Problem.of(response);
    return response;
  }
}

export const read = async (path, options) => (await call(path, options)).json();

export const post = (path, body, options = {}) => read(path, {
  ...options, method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' },
});

/** Sends a file and gives the job; `progress` hears of the part that is sent, 0 to 1. */
export async function upload(file, query, progress, signal) {
  for (;;) {
    const shown = key();
    const { status, text } = await send(file, query, progress, signal, shown);
    if (status === 401 && await ask(shown)) continue;
    const body = parsed(text);
    if (status < 200 || status >= 300) throw new Problem(body.code ?? 'other', { ...body, status });
    return body;
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

// fetch tells nothing of what is sent so far.
function send(file, query, progress, signal, shown) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open('POST', `/v2/jobs?${query}`);
    request.setRequestHeader('content-type', 'application/octet-stream');
    for (const [name, value] of Object.entries(shows(shown))) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => progress(total > 0 ? loaded / total : 0);
    request.onload = () => done({ status: request.status, text: request.responseText });
    request.onerror = () => failed(new Problem('offline'));
    request.onabort = () => failed(new DOMException('stopped', 'AbortError'));
    signal.addEventListener('abort', () => request.abort(), { once: true });
    request.send(file);
  });
}

/** Events of a job behind `after`, each with its number and the job. */
export async function* events(id, after, signal) {
  const headers = after > 0 ? { 'last-event-id': String(after) } : {};
  const response = await call(`/v2/jobs/${id}/events`, { headers, signal });
  if (response.status === 204) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split('\n\n');
      rest = blocks.pop();
      yield* blocks.map(event).filter((event) => event.job !== null);
    }
  } catch (error) {
    throw error.name === 'AbortError' || error instanceof Problem ? error : new Problem('offline');
  } finally {
    reader.cancel().catch(() => {});
  }
}

function event(block) {
  const field = (name) => block.split('\n').find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  const data = field('data');
  return { number: Number(field('id') ?? 0), job: data === undefined ? null : JSON.parse(data) };
}

/** Waits until the server has made a file that it makes when it is asked. */
export async function made(path, signal) {
  for (;;) {
    const response = await call(path, { method: 'HEAD', headers: { prefer: 'wait=20' }, signal });
    if (response.status === 200) return;
  }
}
