// @ts-check
// An Electron application that generates images in its main process: npm install && npm start
// The pipeline computes on its own threads, so neither the windows nor the main process block. When you package the
// application, keep node_modules/safelight outside of the asar archive (electron-builder: asarUnpack).
import { fileURLToPath } from 'node:url';
import { app, BrowserWindow, ipcMain } from 'electron';
import { Pipeline, SafelightError } from 'safelight';

/** @type {Promise<Pipeline> | undefined} */
let loading;
/** The running generation of each window, by the id of its web contents. @type {Map<number, AbortController>} */
const running = new Map();

/** Returns the pipeline of all windows. The first call loads it; a load that failed is retried by the next call. */
function loadPipeline() {
  loading ??= Pipeline.load().catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

ipcMain.handle('generate', async ({ sender }, /** @type {unknown} */ prompt) => {
  const controller = new AbortController();
  const cancel = () => controller.abort();
  // One generation per window: a new prompt cancels the previous one, and so does closing the window.
  running.get(sender.id)?.abort();
  running.set(sender.id, controller);
  sender.once('destroyed', cancel);
  try {
    const pipeline = await loadPipeline();
    const { images } = await pipeline.generate({
      prompt: String(prompt),
      signal: controller.signal,
      onProgress: ({ phase, step, steps }) => {
        if (!sender.isDestroyed()) sender.send('progress', { phase, step, steps });
      },
    });
    const [image] = images;
    return { png: await image?.png(), seed: image?.seed };
  } catch (error) {
    // An error that a handler throws reaches the renderer without its code, so the code is returned instead.
    if (error instanceof SafelightError) return { code: error.code, message: error.message };
    throw error;
  } finally {
    sender.off('destroyed', cancel);
    if (running.get(sender.id) === controller) running.delete(sender.id);
  }
});

ipcMain.on('cancel', ({ sender }) => running.get(sender.id)?.abort());

function openWindow() {
  const window = new BrowserWindow({
    width: 640,
    height: 720,
    webPreferences: { preload: fileURLToPath(new URL('preload.cjs', import.meta.url)) },
  });
  window.loadFile(fileURLToPath(new URL('renderer.html', import.meta.url)));
}

app.whenReady().then(openWindow);
app.on('window-all-closed', () => app.quit());
// Cancels what runs and frees the model before the process ends.
app.on('will-quit', async (event) => {
  if (!loading) return;
  event.preventDefault();
  for (const controller of running.values()) controller.abort();
  const pipeline = await loading.catch(() => undefined);
  loading = undefined;
  await pipeline?.dispose();
  app.quit();
});
