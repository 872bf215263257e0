/** Identifies a model and locates its weights without reading them. The caller passes the families to try. */
import { join, resolve } from 'node:path';
import type { SafelightError } from '../errors.js';
import { bundledModels } from '../hub/bundled.js';
import { locateModel } from '../hub/locate.js';
import { checkOpen } from './check-open.js';
import { unsupported } from './config/validate.js';
import { incomplete } from './missing-components.js';
import type { OpenModelOptions } from './model-descriptor.js';
import { type ModelFiles, readModelFiles } from './model-files.js';
import { refuseOtherFamilies } from './other-families.js';

/**
 * The folder of the starter model, a small model that ships with the package. Resolved from `lib/` and `dist/` alike.
 */
export const starterModel = bundledModels.starter;

/** The part of a family that recognizes and opens model files. */
export interface ModelOpener<Opened> {
  readonly name: string;
  /**
   * Returns true if the files are of this family, judged by names and configs.
   * @throws INVALID_FILE, UNSUPPORTED_MODEL, FILE_NOT_FOUND
   */
  detect(files: ModelFiles, options: OpenModelOptions): boolean | Promise<boolean>;
  /** @throws FILE_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL, MISSING_TENSOR, SHAPE_MISMATCH, INVALID_OPTION */
  open(files: ModelFiles, options: OpenModelOptions): Promise<Opened>;
}

/**
 * Opens a model with the first family that recognizes it.
 * @param path a diffusers folder, a single file (safetensors, GGUF, PyTorch checkpoint, or shard index), or the name of
 *   a bundled (`starter`) or downloaded model (`owner/name`, `civitai:VERSION_ID`)
 * @throws FILE_NOT_FOUND, MODEL_NOT_FOUND, INVALID_FILE, UNSUPPORTED_MODEL, MISSING_TENSOR, SHAPE_MISMATCH,
 *   INVALID_OPTION
 */
export async function openWith<Opened>(
  path: string,
  options: OpenModelOptions,
  families: readonly ModelOpener<Opened>[],
): Promise<Opened> {
  checkOpen(path, options);
  const files = await readModelFiles(resolve(await locateModel(path)), options);
  if (files.form === 'file') refuseOtherFamilies(files.tensors, files.path);
  for (const family of families) if (await family.detect(files, options)) return family.open(files, options);
  throw unrecognized(files, options);
}

function unrecognized(files: ModelFiles, options: OpenModelOptions): SafelightError {
  if (files.form === 'folder') {
    const { path, index } = files;
    return unsupported(join(path, 'model_index.json'), '_class_name', index._class_name, 'it has no U-Net');
  }
  return incomplete(files.tensors, files.path, options.vae !== undefined);
}
