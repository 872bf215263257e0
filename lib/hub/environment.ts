/**
 * Addresses, credentials and folders of the Hugging Face hub and Civitai, from the environment variables of their own
 * clients.
 */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { invalidOption } from '../errors.js';

export type Environment = Readonly<Record<string, string | undefined>>;

/** @throws INVALID_OPTION if `env` is not an object */
export function checkEnvironment(env: unknown): void {
  if (typeof env !== 'object' || env === null || Array.isArray(env))
    throw invalidOption('env', 'an object of environment variables', env);
  for (const [name, value] of Object.entries(env))
    if (value !== undefined && typeof value !== 'string') throw invalidOption(`env.${name}`, 'string', value);
}

/**
 * Returns the cache folder as huggingface_hub does: `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `$HF_HOME/hub`, or
 * `~/.cache/huggingface/hub`.
 */
export function cacheFolder(env: Environment = process.env): string {
  return path(env, env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home(env), 'hub'));
}

/** Returns `HF_ENDPOINT` without a trailing slash. */
export function endpoint(env: Environment = process.env): string {
  return (env.HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, '');
}

/** Returns true if `HF_HUB_OFFLINE` or `TRANSFORMERS_OFFLINE` disables network requests. */
export function isOffline(env: Environment = process.env): boolean {
  return isTrue(env.HF_HUB_OFFLINE || env.TRANSFORMERS_OFFLINE);
}

/** Returns `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, or the token that `hf auth login` stored. */
export async function hubToken(env: Environment = process.env): Promise<string | undefined> {
  if (isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  const token = clean(env.HF_TOKEN) ?? clean(env.HUGGING_FACE_HUB_TOKEN);
  if (token !== undefined) return token;
  const file = path(env, env.HF_TOKEN_PATH || join(home(env), 'token'));
  return clean(await readFile(file, 'utf8').catch(() => undefined));
}

/** Returns `CIVITAI_ENDPOINT`, for mirrors and tests. */
export function civitaiEndpoint(env: Environment = process.env): string {
  return (env.CIVITAI_ENDPOINT || 'https://civitai.com').replace(/\/+$/, '');
}

/** Returns `CIVITAI_API_TOKEN` or `CIVITAI_TOKEN`. */
export function civitaiToken(env: Environment = process.env): string | undefined {
  return clean(env.CIVITAI_API_TOKEN) ?? clean(env.CIVITAI_TOKEN);
}

/** Returns the folder of Civitai's files: `SAFELIGHT_MODELS`, or `models` in the data folder. */
export function modelsFolder(env: Environment = process.env): string {
  return path(env, env.SAFELIGHT_MODELS || join(dataFolder(env), 'models'));
}

/**
 * Returns Safelight's data folder: `$XDG_DATA_HOME/safelight`, or `~/.local/share/safelight`, on Windows
 * `%LOCALAPPDATA%\\safelight`.
 */
export function dataFolder(env: Environment = process.env): string {
  const folder = isWindows() ? env.LOCALAPPDATA || join(homeFolder(env), 'AppData', 'Local') : undefined;
  return join(env.XDG_DATA_HOME || folder || join(homeFolder(env), '.local', 'share'), 'safelight');
}

function home(env: Environment): string {
  return path(env, env.HF_HOME || join(env.XDG_CACHE_HOME || join(homeFolder(env), '.cache'), 'huggingface'));
}

/** As Python's `expanduser`, which ignores HOME on Windows. */
function homeFolder(env: Environment): string {
  return (isWindows() ? env.USERPROFILE : env.HOME) || homedir();
}

/** Expands `~`, `$NAME` and on Windows `%NAME%`, as Python does for these variables. */
function path(env: Environment, text: string): string {
  const expanded = text
    .replace(/^~(?=$|[/\\])/, () => homeFolder(env))
    .replace(/\$(?:\{(\w+)\}|(\w+))/g, (match, braced, bare) => env[braced ?? bare] ?? match);
  return isWindows() ? expanded.replace(/%(\w+)%/g, (match, name) => env[name] ?? match) : expanded;
}

function isWindows(): boolean {
  return process.platform === 'win32';
}

function isTrue(value: string | undefined): boolean {
  return value !== undefined && ['1', 'on', 'yes', 'true'].includes(value.toLowerCase());
}

function clean(text: string | undefined): string | undefined {
  return text?.replace(/[\r\n]/g, '').trim() || undefined;
}
