/**
 * Browser storage: small values in localStorage, images in IndexedDB. Without storage, the page works but does not
 * remember anything.
 */
import { effect, type Signal, signal } from '@preact/signals';

const PREFIX = 'safelight.';

/** Creates a signal whose value is stored in localStorage. @param revive validates the stored value */
export function persistentSignal<T>(name: string, revive: (value: unknown) => T): Signal<T> {
  const stored = signal(revive(read(name)));
  effect(() => write(name, stored.value));
  return stored;
}

function read(name: string): unknown {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name) ?? 'null');
  } catch {
    return null;
  }
}

function write(name: string, value: unknown): void {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Storage is full or not available: the value is not remembered.
  }
}

let database: Promise<IDBDatabase> | undefined;

function open(): Promise<IDBDatabase> {
  database ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('safelight', 1);
    request.onupgradeneeded = () => request.result.createObjectStore('drafts');
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return database;
}

/** Stores a draft; undefined removes it. */
export async function keepDraft(name: string, value: unknown): Promise<void> {
  try {
    const store = (await open()).transaction('drafts', 'readwrite').objectStore('drafts');
    if (value === undefined) store.delete(name);
    else store.put(value, name);
  } catch {
    // Storage is full or not available: the draft is not remembered.
  }
}

export async function storedDraft(name: string): Promise<unknown> {
  try {
    const store = (await open()).transaction('drafts').objectStore('drafts');
    return await new Promise((resolve, reject) => {
      const request = store.get(name);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
  } catch {
    return undefined;
  }
}
