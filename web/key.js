// The key that the server may ask for.

const KEPT = 'msaas.key';
let asking = null;

export const key = () => localStorage.getItem(KEPT);

/** Asks for another key than `shown`, once, however many requests were refused. Gives whether there is one. */
export async function ask(shown) {
  if (key() !== shown) return true;
  asking ??= answer(shown).finally(() => { asking = null; });
  return asking;
}

async function answer(shown) {
  const dialog = document.getElementById('ask');
  const input = document.getElementById('ask-key');
  document.getElementById('ask-wrong').hidden = shown === null;
  input.value = '';
  dialog.returnValue = '';
  dialog.showModal();
  await new Promise((closed) => dialog.addEventListener('close', closed, { once: true }));
  const given = input.value.trim();
  if (dialog.returnValue !== 'use' || given === '') return false;
  localStorage.setItem(KEPT, given);
  return true;
}
