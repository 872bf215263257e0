/**
 * A model family as one value: how its files are recognized, and what a pipeline needs to run it. Everything that is specific to a family is
 * in its file in this folder; no other file branches on a family's name.
 */
import type { ModelDescriptor } from '../checkpoint/model-descriptor.js';
import type { ModelOpener } from '../checkpoint/open.js';
import type { Warnings } from '../warnings.js';
import type { LoadedModel, ModuleSettings } from './shared/loaded-model.js';
import type { OpenVqganOptions, VqganModelSource } from './shared/vqgan/open-vqgan.js';

export type Family = DiffusionFamily | AutoregressiveFamily;

interface FamilyBase {
  /** As `inspect` prints it: `sd1`, `sdxl_refiner` ... */
  readonly name: string;
  /** For people: "Stable Diffusion XL". */
  readonly label: string;
}

/** Models that draw by denoising latents, or pixels. */
export interface DiffusionFamily<Model extends ModelDescriptor = ModelDescriptor>
  extends FamilyBase,
    ModelOpener<OpenedModel<Model>> {
  readonly kind: 'diffusion';
}

/** Models that turn images into code indices and back, and may draw by sampling code indices (`VqganPipeline`). */
export interface AutoregressiveFamily extends FamilyBase {
  readonly kind: 'autoregressive';
  /** Tells by names whether a file or folder is of this family. @throws FILE_NOT_FOUND, INVALID_FILE */
  detect(path: string): Promise<boolean>;
  /** Finds out what the model is and where its weights lie. @throws as `openVqganModel` */
  open(path: string, options?: OpenVqganOptions): Promise<VqganModelSource>;
}

/** A model that was understood, and can be loaded. */
export interface OpenedModel<Model extends ModelDescriptor = ModelDescriptor> {
  readonly model: Model;
  /** Its modules are loaded when they are first needed. @throws UNSUPPORTED_MODEL for one that no pipeline runs */
  load(settings: ModuleSettings, warnings: Warnings): LoadedModel;
}
