/** Upscaler models of folders by name, as hires fix and upscaling refer to them. */
import { SafelightError } from '../../errors.js';
import { fileNamed, listNamed, type NamedFile, quotedName } from '../../files/named-files.js';
import * as check from '../../options/check.js';
import { hiresFields } from '../../options/declarations/hires.js';
import { upscalerLabel, upscalerSpellings } from '../../options/upscaler-names.js';
import { isFileName } from '../../options/validate.js';
import { didYouMean, suggestValue } from '../../suggest.js';

/** An upscaler model of a folder. */
export interface UpscalerEntry extends NamedFile {
  /** The folder, as it was given. */
  readonly folder: string;
}

const EXTENSIONS: ReadonlySet<string> = new Set(['.safetensors', '.pth', '.pt', '.ckpt', '.bin']);

/** Folders of upscaler models with their subfolders. They are read on every call, so that new files are found. */
export class UpscalerFolder {
  readonly paths: readonly string[];

  /** @param paths one folder or several, which are searched in order; missing ones among several are skipped */
  constructor(paths: string | readonly string[]) {
    this.paths = typeof paths === 'string' ? [paths] : [...paths];
  }

  /** Lists the models, sorted by folder and path. @throws FILE_NOT_FOUND if none of the folders can be read */
  async list(): Promise<UpscalerEntry[]> {
    const results = await Promise.allSettled(
      this.paths.map(async (folder) =>
        (await listNamed(folder, EXTENSIONS)).map((file) => ({ ...file, folder })),
      ),
    );
    const [first] = results;
    if (first?.status === 'rejected' && results.every(({ status }) => status === 'rejected'))
      throw first.reason;
    return results.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
  }

  /**
   * Finds a model by the name of its file, by its path below the folder without extension, or by A1111's label of a
   * well-known model; uppercase and lowercase letters are equal.
   * @throws ADAPTER_NOT_FOUND with the nearest name as a suggestion
   */
  async get(name: string): Promise<UpscalerEntry> {
    const [folder = ''] = this.paths;
    const entries = await this.list().catch((cause: unknown) => {
      throw new SafelightError(
        'ADAPTER_NOT_FOUND',
        `There is no upscaler ${quotedName(name)}, because the folder of upscalers ${folder} cannot be read; create it and put the file there`,
        { cause },
      );
    });
    const found = find(entries, name);
    if (found) return found;
    const names = entries.flatMap((entry) => [entry.name, upscalerLabel(entry.name)]);
    const similar = suggestValue(name, [...names, ...hiresFields.hires.fields.upscaler.values]);
    const hint = didYouMean(similar) ?? 'put the file there or correct the name';
    throw new SafelightError(
      'ADAPTER_NOT_FOUND',
      `No upscaler is named ${quotedName(name)} in the folder ${folder}, which has ${counted(entries.length)}; ${hint}`,
    );
  }
}

/**
 * Returns the path of the model that an option refers to: by its name in the folder, or by its path.
 * @throws ADAPTER_NOT_FOUND, INVALID_OPTION for a name if there is no folder
 */
export async function upscalerPath(file: string, folder: UpscalerFolder | undefined): Promise<string> {
  if (!folder) {
    const { values, orFile } = hiresFields.hires.fields.upscaler;
    return isFileName(file) ? file : check.oneOf('hires.upscaler', file, values, orFile);
  }
  if (!isFileName(file)) return (await folder.get(file)).path;
  const entries = await folder.list().catch(() => []);
  return find(entries, file)?.path ?? file;
}

function find(entries: readonly UpscalerEntry[], name: string): UpscalerEntry | undefined {
  for (const spelling of upscalerSpellings(name)) {
    const found = fileNamed(entries, spelling);
    if (found) return found;
  }
  return undefined;
}

function counted(count: number): string {
  return count === 1 ? '1 model' : `${count} models`;
}
