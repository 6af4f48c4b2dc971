// The key that the server may ask for.

const KEPT = 'msaas.key';
let asking = null;

export const key = () => localStorage.getItem(KEPT);

/** Asks for another key than `shown`, once, however many requests were refused. `wrong`: that one is not known. Gives whether there is one. */
export async function ask(shown, wrong = shown !== null) {
  if (key() !== shown) return true;
  asking ??= answer(wrong).finally(() => { asking = null; });
  return asking;
}

async function answer(wrong) {
  const dialog = document.getElementById('ask');
  const input = document.getElementById('ask-key');
  document.getElementById('ask-wrong').hidden = !wrong;
  input.value = '';
  dialog.returnValue = '';
  dialog.showModal();
  await new Promise((closed) => dialog.addEventListener('close', closed, { once: true }));
  const given = input.value.trim();
  if (dialog.returnValue !== 'use' || given === '') return false;
  localStorage.setItem(KEPT, given);
  return true;
}
