// What is asked for: few questions, and the rest folded away.

import { read } from './api.js';
import { el, say } from './dom.js';
import { known, stem } from './words.js';

const KEPT = 'msaas.choice';

const FORMATS = {
  mp3: { format: 'mp3' }, flac16: { format: 'flac', bits: 16 }, flac24: { format: 'flac', bits: 24 },
  wav16: { format: 'wav', bits: 16 }, wav24: { format: 'wav', bits: 24 }, wav32: { format: 'wav', bits: 32 },
};

export class Choice {
  #form;
  #which;
  #what;

  /** Fills the form. `models` are as the server lists them. */
  constructor(form, models) {
    this.models = models;
    this.#form = form;
    const model = select('model', models.map(({ name }) => [name, known(`model.${name}`) ? `model.${name}` : 'model.other', { name }]));
    this.#what = el('select', { name: 'what' });
    this.#which = el('fieldset', { class: 'which' });
    const format = select('format', Object.keys(FORMATS).map((name) => [name, `format.${name}`, {}]));
    const clip = select('clip', ['common', 'rescale', 'clamp', 'none'].map((name) => [name, `clip.${name}`, {}]));
    const shifts = el('input', { name: 'shifts', type: 'number', min: 0, max: 20, value: 0 });
    const overlap = el('input', { name: 'overlap', type: 'number', min: 0, max: 0.9, step: 0.05, value: 0.25 });
    form.append(
      el('div', { class: 'fields' }, field('what', this.#what), field('model', model), field('format', format)),
      this.#which,
      el('details', {}, say(el('summary'), 'more'),
        el('div', { class: 'fields' }, field('shifts', shifts), field('overlap', overlap), field('clip', clip))),
    );
    this.#stems();
    this.#restore();
    form.addEventListener('submit', (event) => event.preventDefault());
    form.addEventListener('change', ({ target }) => {
      if (target.name === 'model') this.#stems();
      this.#which.hidden = this.#what.value !== 'some';
      this.#keep();
    });
  }

  static async ask(form) {
    const { models } = await read('/v2/models');
    return new Choice(form, models);
  }

  /** Stems of a network. */
  stemsOf(model) {
    return this.models.find(({ name }) => name === model)?.stems ?? [];
  }

  /** As the server wants it, for what is sent now. */
  get query() {
    const { model, what, format, shifts, overlap, clip } = this.#form.elements;
    const query = new URLSearchParams({ model: model.value, ...FORMATS[format.value] });
    const set = (name, value, usual) => value !== '' && value !== usual && query.set(name, value);
    if (what.value.startsWith('two:')) query.set('two_stems', what.value.slice(4));
    if (what.value === 'some') set('stems', this.#chosen().join(','), '');
    set('shifts', shifts.value, '0');
    set('overlap', overlap.value, '0.25');
    set('clip', clip.value, 'common');
    return query.toString();
  }

  #chosen() {
    return [...this.#which.querySelectorAll('input:checked')].map(({ value }) => value);
  }

  /** What the chosen model has to offer. */
  #stems() {
    const stems = this.stemsOf(this.#form.elements.model.value);
    const two = (name) => [`two:${name}`, name === 'vocals' ? 'what.karaoke' : 'what.two', { stem: () => stem(name) }];
    const order = [...stems].sort((a, b) => (b === 'vocals') - (a === 'vocals'));
    const before = this.#what.value;
    const options = [['all', 'what.all', {}], ...order.map(two), ['some', 'what.some', {}]];
    this.#what.replaceChildren(...options.map(option));
    if (options.some(([value]) => value === before)) this.#what.value = before;
    const boxes = stems.map((name) => el('label', {},
      el('input', { type: 'checkbox', value: name, checked: true }), say(el('span'), 'stem.of', { stem: () => stem(name) })));
    this.#which.replaceChildren(say(el('legend'), 'which'), ...boxes);
    this.#which.hidden = this.#what.value !== 'some';
  }

  #keep() {
    const values = [...this.#form.elements].filter(({ name }) => name).map(({ name, value }) => [name, value]);
    localStorage.setItem(KEPT, JSON.stringify(Object.fromEntries(values)));
  }

  #restore() {
    try {
      const kept = JSON.parse(localStorage.getItem(KEPT) ?? '{}');
      // The model first: the others follow from it.
      for (const name of ['model', 'what', 'format', 'shifts', 'overlap', 'clip']) {
        const place = this.#form.elements[name];
        const fits = place.tagName === 'INPUT' || [...place.options].some(({ value }) => value === kept[name]);
        if (kept[name] !== undefined && fits) place.value = kept[name];
        if (name === 'model') this.#stems();
      }
      this.#which.hidden = this.#what.value !== 'some';
    } catch {
      localStorage.removeItem(KEPT);
    }
  }
}

/** The results of a job that can be heard together, each as the stems of the network that it consists of. */
export function parts(job, stems) {
  const { two_stems: two, stems: some, only_mixes: none } = job.options;
  if (two !== null) return new Map([[two, [two]], [`no_${two}`, stems.filter((name) => name !== two)]]);
  return new Map((none ? [] : some.length > 0 ? some : stems).map((name) => [name, [name]]));
}

const option = ([value, word, values]) => say(el('option', { value }), word, values);

const select = (name, options) => el('select', { name }, ...options.map(option));

const field = (word, input) => el('label', {}, say(el('span'), word), input);
