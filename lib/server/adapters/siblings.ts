/** Files beside an adapter: its preview image and its descriptions. */
import { readdir } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';

/** Endings of preview images in order of precedence, as A1111's cards look for them. */
const PREVIEWS = ['.png', '.jpg', '.jpeg', '.webp'].flatMap((ending) => [ending, `.preview${ending}`]);
/** Endings of files that describe an adapter: those of A1111, Civitai's helpers and ComfyUI's LoRA Manager. */
export const DESCRIPTIONS = ['.json', '.civitai.info', '.metadata.json'];

/** Names of the files in folders, each of which is read once. Create one per request. */
export class Siblings {
  private readonly folders = new Map<string, Promise<ReadonlyMap<string, string>>>();

  /** Returns the path of the preview image of a file; undefined if it has none. */
  async preview(path: string): Promise<string | undefined> {
    return (await this.existing(path, PREVIEWS))[0];
  }

  /** Returns the paths `STEM + ENDING` that exist, in the order of the endings, which are compared without case. */
  async existing(path: string, endings: readonly string[]): Promise<string[]> {
    const folder = dirname(path);
    const names = await this.namesIn(folder);
    const stem = basename(path, extname(path)).toLowerCase();
    return endings.flatMap((ending) => {
      const name = names.get(stem + ending);
      return name === undefined ? [] : [join(folder, name)];
    });
  }

  private namesIn(folder: string): Promise<ReadonlyMap<string, string>> {
    const known = this.folders.get(folder);
    if (known) return known;
    const names = readdir(folder).then(
      (all) => new Map(all.map((name) => [name.toLowerCase(), name])),
      () => new Map<string, string>(),
    );
    this.folders.set(folder, names);
    return names;
  }
}
