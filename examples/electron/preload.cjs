// @ts-check
// The functions that the renderer may call. CommonJS, because a sandboxed preload script cannot be an ES module.
const { contextBridge, ipcRenderer } = require('electron');

/**
 * @typedef {{ phase: string, step: number, steps: number }} Progress
 * @typedef {{ png?: Uint8Array<ArrayBuffer>, seed?: number, code?: string, message?: string }} Result
 */

const api = {
  /** @type {(prompt: string) => Promise<Result>} the code is ABORTED after cancel() */
  generate: (prompt) => ipcRenderer.invoke('generate', prompt),
  cancel: () => ipcRenderer.send('cancel'),
  /** @type {(listener: (progress: Progress) => void) => void} */
  onProgress: (listener) => {
    ipcRenderer.on('progress', (_event, progress) => listener(progress));
  },
};

contextBridge.exposeInMainWorld('safelight', api);

/** @typedef {typeof api} SafelightApi */
