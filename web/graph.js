// The way of the sound: each stem has a lane, source -> gain -> pan, and all lanes add up.
//
// Nothing else happens to it: what comes out at full listening volume, with every pan in the middle, are the samples of the
// server's mix with the same gains.

/** Time in which a fader gets where it was put: a jump would click. */
const GLIDE_S = 0.02;

export class Graph {
  /** In a context that plays, or in one that renders. */
  constructor(context) {
    this.context = context;
    this.listening = new GainNode(context);
    this.listening.connect(context.destination);
    this.lanes = new Map();
  }

  /** Adds the lane of a stem and gives where its source goes in. */
  add(name) {
    // Two channels, whatever the file has: the pan turns one down in the middle, and two not.
    const gain = new GainNode(this.context, { channelCount: 2, channelCountMode: 'explicit' });
    const pan = new StereoPannerNode(this.context);
    gain.connect(pan).connect(this.listening);
    this.lanes.set(name, { gain, pan });
    return gain;
  }

  input(name) {
    return this.lanes.get(name).gain;
  }

  /** Puts the faders of a lane; at once where nothing plays yet. */
  set(name, { gain, pan = 0 }) {
    const lane = this.lanes.get(name);
    this.#glide(lane.gain.gain, gain);
    this.#glide(lane.pan.pan, pan);
  }

  listen(gain) {
    this.#glide(this.listening.gain, gain);
  }

  #glide(param, value) {
    const now = this.context.currentTime;
    param.cancelScheduledValues(now);
    if (now === 0) {
      param.value = value;
      return;
    }
    param.setValueAtTime(param.value, now);
    param.linearRampToValueAtTime(value, now + GLIDE_S);
  }
}

/** What of each stem is heard: mute silences, and where one is soloed all others are silent. */
export function gains(faders) {
  const solo = [...faders.values()].some((fader) => fader.solo);
  return new Map([...faders].map(([name, { gain, mute, solo: own }]) => [name, mute || (solo && !own) ? 0 : gain]));
}

/** The same as the server's mix: a gain for each stem of the network. `parts` tells of which stems a result consists. */
export function mix(faders, parts) {
  const sum = new Map();
  for (const [name, gain] of gains(faders)) {
    for (const stem of parts.get(name) ?? []) sum.set(stem, (sum.get(stem) ?? 0) + gain);
  }
  const heard = [...sum].filter(([, gain]) => gain !== 0);
  return heard.map(([stem, gain]) => `${stem}:${Number(gain.toFixed(4))}`).join(',');
}
