// The songs that this browser has sent, the latest first: the server knows everything else of them.

const KEPT = 'msaas.songs';
const MOST = 100;

export function all() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT) ?? '[]');
    return kept.filter((song) => typeof song.id === 'string');
  } catch {
    return [];
  }
}

export function remember({ id, name }) {
  const others = all().filter((song) => song.id !== id);
  localStorage.setItem(KEPT, JSON.stringify([{ id, name }, ...others].slice(0, MOST)));
}

export function forget(id) {
  localStorage.setItem(KEPT, JSON.stringify(all().filter((song) => song.id !== id)));
}
