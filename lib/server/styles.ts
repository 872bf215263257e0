/** `styles.csv` in the data folder, shared by A1111's routes and Safelight's own API. */
import { readFile } from 'node:fs/promises';
import { parseStyles, type Style, withoutStyle, withStyle } from '../conditioning/styles.js';
import { invalidOption, SafelightError } from '../errors.js';
import { writeOutput } from '../files/write.js';

/** Maximum number of styles in a file that are saved through the API. */
const MAX_STYLES = 1000;

/**
 * Reads the styles; returns none if the file does not exist. The file is read on every call, because A1111 or an
 * editor may have changed it.
 */
export async function readStyles(path: string): Promise<Style[]> {
  return parseStyles(await readFile(path, 'utf8').catch(() => ''));
}

/** Serializes the changes of a styles file, so that concurrent requests do not overwrite each other. */
export class StylesFile {
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly path: string) {}

  read(): Promise<Style[]> {
    return readStyles(this.path);
  }

  /**
   * Adds a style, or replaces the one with the same name.
   * @throws FILE_NOT_WRITTEN, INVALID_FILE, INVALID_OPTION for too many styles
   */
  save(style: Style): Promise<void> {
    return this.change((csv) => {
      const changed = withStyle(csv, style);
      const count = parseStyles(changed).length;
      if (count > MAX_STYLES && count > parseStyles(csv).length)
        throw invalidOption('name', `at most ${MAX_STYLES} styles (delete one first)`, style.name);
      return changed;
    });
  }

  /**
   * Removes a style.
   * @returns false if no style has this name.
   * @throws FILE_NOT_WRITTEN, INVALID_FILE
   */
  async remove(name: string): Promise<boolean> {
    let exists = false;
    await this.change((csv) => {
      exists = parseStyles(csv).some((style) => style.name === name);
      return exists ? withoutStyle(csv, name) : undefined;
    });
    return exists;
  }

  private change(edit: (csv: string) => string | undefined): Promise<void> {
    const next = this.last.then(async () => {
      const changed = edit(await this.readText());
      if (changed !== undefined) await writeOutput(this.path, Buffer.from(changed));
    });
    this.last = next.catch(() => undefined);
    return next;
  }

  /** Reads the text before it is rewritten. Throws if the file cannot be decoded, so that it is not overwritten. */
  private async readText(): Promise<string> {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await readFile(this.path));
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
      const reason = error instanceof TypeError ? 'it is not UTF-8 text' : String(error);
      throw new SafelightError(
        'INVALID_FILE',
        `Cannot change the styles in '${this.path}': ${reason}; save the file as UTF-8 or move it away`,
        { cause: error },
      );
    }
  }
}
