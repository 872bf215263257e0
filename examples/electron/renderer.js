// @ts-check
/** @type {import('./preload.cjs').SafelightApi} */
const safelight = Reflect.get(window, 'safelight');

const form = /** @type {HTMLFormElement} */ (document.querySelector('form'));
const cancel = /** @type {HTMLButtonElement} */ (document.querySelector('#cancel'));
const status = /** @type {HTMLElement} */ (document.querySelector('#status'));
const image = /** @type {HTMLImageElement} */ (document.querySelector('#image'));

safelight.onProgress(({ phase, step, steps }) => {
  status.textContent = `${phase} ${step}/${steps}`;
});
cancel.addEventListener('click', () => safelight.cancel());

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const prompt = String(new FormData(form).get('prompt'));
  cancel.disabled = false;
  const { png, seed, code, message } = await safelight.generate(prompt);
  cancel.disabled = true;
  if (!png) {
    status.textContent = code === 'ABORTED' ? 'Cancelled' : `${code}: ${message}`;
    return;
  }
  status.textContent = `Seed ${seed}`;
  URL.revokeObjectURL(image.src);
  image.src = URL.createObjectURL(new Blob([png], { type: 'image/png' }));
  image.alt = prompt;
});
