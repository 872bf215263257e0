/** Connection to the server: its models and limits, and the login if it requires a key. */
import { signal } from '@preact/signals';
import { ApiError, get, post } from '../api/http.js';
import type { About } from '../api/types.js';
import { follow } from './jobs.js';
import { showError } from './notifications.js';

export const about = signal<About | null>(null);
export const needsKey = signal(false);

/** Loads the server's information and follows its jobs. Retries every 3 seconds if the server does not respond. */
export async function connect(): Promise<void> {
  try {
    about.value = await get<About>('v1/about');
    needsKey.value = false;
    follow(() => void connect());
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) needsKey.value = true;
    else {
      showError(error);
      setTimeout(() => void connect(), 3000);
    }
  }
}

/** Logs in. @throws ApiError for a wrong key */
export async function login(key: string): Promise<void> {
  await post('login', { key });
  await connect();
}

export async function logout(): Promise<void> {
  await post('logout', {});
  location.reload();
}
