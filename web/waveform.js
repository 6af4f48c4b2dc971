// A waveform as a drawing that stretches: one path, in the colour of its place.

const SVG = 'http://www.w3.org/2000/svg';

/** Draws peaks, `[low, high]` each, as loud as `loudest` of all stems that are shown together. */
export function waveform(peaks, loudest) {
  const drawing = document.createElementNS(SVG, 'svg');
  drawing.setAttribute('viewBox', `0 -1 ${peaks.length} 2`);
  drawing.setAttribute('preserveAspectRatio', 'none');
  drawing.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', outline(peaks, 1 / Math.max(loudest, 0.01)));
  drawing.append(path);
  return drawing;
}

export const loudest = (peaks) => peaks.reduce((most, [low, high]) => Math.max(most, -low, high), 0);

/** There along the highest samples and back along the lowest; silence is a thin line. */
function outline(peaks, scale) {
  const line = 0.012;
  const point = (x, y) => `${x} ${y.toFixed(3)}`;
  const there = peaks.map(([, high], x) => point(x, -Math.max(high * scale, line)));
  const back = peaks.map(([low], x) => point(x, Math.max(-low * scale, line))).reverse();
  return `M${there.join('L')}L${back.join('L')}Z`;
}
