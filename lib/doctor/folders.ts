/** The folders that Safelight reads and writes. */
import { constants } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { packedFolder } from '../checkpoint/formats/packed-cache.js';
import { cacheFolder, dataFolder, modelsFolder } from '../hub/environment.js';
import type { DoctorEnvironment } from './environment.js';

export interface UsedFolder {
  readonly name: 'hub' | 'packed' | 'data' | 'models';
  /** A noun phrase for messages. */
  readonly label: string;
  readonly path: string;
  /** Environment variable that selects another folder. */
  readonly variable: string;
}

export function usedFolders({ env, options }: DoctorEnvironment): readonly UsedFolder[] {
  return [
    { name: 'hub', label: 'Hugging Face cache', path: cacheFolder(env), variable: 'HF_HUB_CACHE' },
    {
      name: 'packed',
      label: 'folder of packed weights',
      path: packedFolder(env),
      variable: 'SAFELIGHT_CACHE',
    },
    {
      ...{ name: 'data', label: 'data folder', variable: 'XDG_DATA_HOME' },
      path: resolve(options.data ?? dataFolder(env)),
    } as const,
    {
      ...{ name: 'models', label: 'models folder', variable: 'SAFELIGHT_MODELS' },
      path: resolve(options.models ?? modelsFolder(env)),
    } as const,
  ];
}

/** Returns one of the used folders. */
export function usedFolder(environment: DoctorEnvironment, name: UsedFolder['name']): UsedFolder {
  return usedFolders(environment).find((folder) => folder.name === name)!;
}

export interface FolderState {
  readonly exists: boolean;
  /** The reason why it cannot be used. */
  readonly problem?: {
    readonly text: string;
    /** Path of the file or folder that is in the way. */
    readonly path: string;
    readonly code: string;
    /** True if the folder can be read, but not written to or created. */
    readonly readable: boolean;
  };
}

/** Examines a folder without changing it. A folder that does not exist is usable if it can be created. */
export async function folderState(path: string): Promise<FolderState> {
  const exists = await stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => !isMissing(error),
  );
  if (!exists) {
    const problem = await writeProblem(await existingFolder(path));
    return { exists, ...(problem && { problem }) };
  }
  try {
    await readdir(path);
  } catch (error) {
    return { exists, problem: { ...problemOf('cannot be read', path, error), readable: false } };
  }
  const problem = await writeProblem(path);
  return { exists, ...(problem && { problem }) };
}

async function writeProblem(folder: string): Promise<FolderState['problem']> {
  try {
    if (!(await stat(folder)).isDirectory())
      return { text: 'is not a folder', path: folder, code: 'ENOTDIR', readable: false };
    await access(folder, constants.W_OK | constants.X_OK);
    return undefined;
  } catch (error) {
    return problemOf('cannot be written to', folder, error);
  }
}

/** Returns a path itself if it exists, else the nearest one above it that does. */
export async function existingFolder(path: string): Promise<string> {
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    const exists = await stat(folder).then(
      () => true,
      (error: NodeJS.ErrnoException) => !isMissing(error),
    );
    if (exists || dirname(folder) === folder) return folder;
  }
}

/** ENOTDIR: a folder above it is a file. */
function isMissing({ code = '' }: NodeJS.ErrnoException): boolean {
  return ['ENOENT', 'ENOTDIR'].includes(code);
}

function problemOf(text: string, path: string, error: unknown): NonNullable<FolderState['problem']> {
  const { code = 'EIO', message } = error as NodeJS.ErrnoException;
  return { text: `${text} (${message.split(',')[0]})`, path, code, readable: true };
}
