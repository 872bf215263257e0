/**
 * Definition of a model family: detection of its files and loading of its models. Everything specific to a family is
 * in its file in this folder; no other file branches on a family's name.
 */
import type { ModelDescriptor } from '../checkpoint/model-descriptor.js';
import type { ModelOpener } from '../checkpoint/open.js';
import type { Warnings } from '../warnings.js';
import type { LoadedModel, ModuleSettings } from './shared/loaded-model.js';
import type { OpenVqganOptions, VqganModelSource } from './shared/vqgan/open-vqgan.js';

export type Family = DiffusionFamily | AutoregressiveFamily;

interface FamilyBase {
  /** Identifier, printed by `inspect`: `sd1`, `sdxl_refiner` ... */
  readonly name: string;
  /** Display name: "Stable Diffusion XL". */
  readonly label: string;
}

/** Models that generate images by denoising latents or pixels. */
export interface DiffusionFamily<Model extends ModelDescriptor = ModelDescriptor>
  extends FamilyBase,
    ModelOpener<OpenedModel<Model>> {
  readonly kind: 'diffusion';
}

/** Models that encode images as code indices and may generate images by sampling code indices (`VqganPipeline`). */
export interface AutoregressiveFamily extends FamilyBase {
  readonly kind: 'autoregressive';
  /**
   * Returns true if a file or folder is of this family, judging by tensor and file names.
   * @throws FILE_NOT_FOUND, INVALID_FILE
   */
  detect(path: string): Promise<boolean>;
  /** Reads the description of a model without its weights. @throws as `openVqganModel` */
  open(path: string, options?: OpenVqganOptions): Promise<VqganModelSource>;
}

/** The description of a model, which can be loaded. */
export interface OpenedModel<Model extends ModelDescriptor = ModelDescriptor> {
  readonly model: Model;
  /**
   * Returns a model whose modules are loaded on first use.
   * @throws UNSUPPORTED_MODEL for a model that no pipeline supports
   */
  load(settings: ModuleSettings, warnings: Warnings): LoadedModel;
}
