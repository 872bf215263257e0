/** Who we talk to: what the server offers, and whether it wants its key first. */
import { signal } from '@preact/signals';
import { ApiError, get, post } from '../api/http.js';
import type { About } from '../api/types.js';
import { follow } from './jobs.js';
import { complain } from './notes.js';

export const about = signal<About | null>(null);
export const needsKey = signal(false);

/** Asks what there is; the page comes to life once it is answered. */
export async function begin(): Promise<void> {
  try {
    about.value = await get<About>('/v1/about');
    needsKey.value = false;
    follow(() => void begin());
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) needsKey.value = true;
    else {
      complain(error);
      setTimeout(() => void begin(), 3000);
    }
  }
}

/** @throws ApiError for a wrong key */
export async function login(key: string): Promise<void> {
  await post('/login', { key });
  await begin();
}

export async function logout(): Promise<void> {
  await post('/logout', {});
  location.reload();
}
