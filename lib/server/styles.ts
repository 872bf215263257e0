/** `styles.csv` of the data folder, which A1111's routes and the own API share. */
import { readFile } from 'node:fs/promises';
import { invalidOption, SafelightError } from '../errors.js';
import { writeOutput } from '../files/write.js';
import { parseStyles, type Style, withoutStyle, withStyle } from '../jobs/styles.js';

/** Styles that a file holds at most once they are saved through the API. */
const MAX_STYLES = 1000;

/** Reads the file anew each time, since A1111 or an editor may have changed it; none where there is no file. */
export async function readStyles(path: string): Promise<Style[]> {
  return parseStyles(await readFile(path, 'utf8').catch(() => ''));
}

/** Changes of one file, one after the other, so that two requests at once lose nothing. */
export class StylesFile {
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly path: string) {}

  read(): Promise<Style[]> {
    return readStyles(this.path);
  }

  /** Adds a style, or replaces the one of its name. @throws FILE_NOT_WRITTEN, INVALID_FILE, INVALID_OPTION for too many */
  save(style: Style): Promise<void> {
    return this.change((csv) => {
      const changed = withStyle(csv, style);
      const count = parseStyles(changed).length;
      if (count > MAX_STYLES && count > parseStyles(csv).length)
        throw invalidOption('name', `at most ${MAX_STYLES} styles (delete one first)`, style.name);
      return changed;
    });
  }

  /** @returns false where there is no style of that name. @throws FILE_NOT_WRITTEN, INVALID_FILE */
  async remove(name: string): Promise<boolean> {
    let found = false;
    await this.change((csv) => {
      found = parseStyles(csv).some((style) => style.name === name);
      return found ? withoutStyle(csv, name) : undefined;
    });
    return found;
  }

  private change(edit: (csv: string) => string | undefined): Promise<void> {
    const next = this.last.then(async () => {
      const changed = edit(await this.whole());
      if (changed !== undefined) await writeOutput(this.path, Buffer.from(changed));
    });
    this.last = next.catch(() => undefined);
    return next;
  }

  /** The text that is about to be rewritten: what cannot be read must not be replaced. */
  private async whole(): Promise<string> {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(await readFile(this.path));
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
      const why = error instanceof TypeError ? 'it is not UTF-8 text' : String(error);
      throw new SafelightError(
        'INVALID_FILE',
        `Cannot change the styles in '${this.path}': ${why}. Save the file as UTF-8 or move it away`,
        { cause: error },
      );
    }
  }
}
