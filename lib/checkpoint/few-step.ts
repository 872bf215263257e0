/**
 * Recognition of models and LoRAs that were distilled for few steps, with suitable default options. Their tensors equal
 * those of other models, except for latent consistency models, so that names and metadata identify them. Defaults are
 * those of the model cards.
 */
import { basename, dirname, extname } from 'node:path';
import type { FewStep } from './config/types.js';
import type { ModelFiles } from './model-files.js';

/** Sources by which a model is recognized. */
export interface FewStepEvidence {
  /** Names of its file or folder, and titles in its metadata. */
  readonly names: readonly string[];
  /** Classes of its pipeline and scheduler in `model_index.json`. */
  readonly classes?: readonly string[];
  /** The U-Net has the guidance scale as an input. */
  readonly embedsGuidance?: boolean;
}

/** Recognizes a model; undefined for one that needs ordinary settings. */
export function fewStepModel({ names, classes = [], embedsGuidance }: FewStepEvidence): FewStep | undefined {
  if (embedsGuidance) return { kind: 'LCM', defaults: { steps: 4, cfg: 8.5, sampler: 'lcm' } };
  const named = byName(names, 'model');
  if (named) return named;
  if (classes.includes('LCMScheduler') || classes.includes('LatentConsistencyModelPipeline')) return LCM_LORA;
  return classes.includes('TCDScheduler') ? TCD : undefined;
}

/** Recognizes a LoRA. @param names of its file, and titles in its metadata */
export function fewStepLora(names: readonly string[]): FewStep | undefined {
  return byName(names, 'lora');
}

/** File names that state nothing about their content; the folder's name does. */
const GENERIC = /^(pytorch_lora_weights|adapter_model|diffusion_pytorch_model|model)(\.|$)/;

/** Keys of a file's text metadata that contain a title. */
const TITLES = ['modelspec.title', 'ss_output_name'];

/**
 * Returns the names of a model or LoRA: that of the file or folder, of its folder if the former is generic, and those in
 * its metadata. In the Hugging Face cache, `models--OWNER--NAME/snapshots/HASH` is named by the repository.
 */
export function fewStepNames(path: string, notes: ReadonlyMap<string, string> = new Map()): string[] {
  const stem = basename(path, extname(path));
  const folder = GENERIC.test(stem) ? dirname(path) : path;
  const repository = /^models--.+?--(.+)$/.exec(basename(dirname(dirname(folder))))?.[1];
  const name = folder === path ? stem : basename(folder);
  const titles = TITLES.flatMap((key) => notes.get(key) ?? []);
  return [basename(dirname(folder)) === 'snapshots' && repository ? repository : name, ...titles];
}

/** Returns the names and classes in the files of a model. */
export function fewStepEvidence(files: ModelFiles): FewStepEvidence {
  if (files.form === 'file') return { names: fewStepNames(files.path, files.notes) };
  const { _class_name: pipeline, scheduler } = files.index;
  const classes = [pipeline, ...(Array.isArray(scheduler) ? scheduler : [])];
  return { names: fewStepNames(files.path), classes: classes.filter((name) => typeof name === 'string') };
}

const OFF = 1;
const LCM_LORA: FewStep = { kind: 'LCM', defaults: { steps: 6, cfg: 1.5, sampler: 'lcm' } };
const TCD: FewStep = { kind: 'TCD', defaults: { steps: 4, cfg: OFF, sampler: 'tcd', eta: 0.3 } };

type Form = 'model' | 'lora';

/** A kind of distillation: the pattern of its names, in which runs of separators are `-`, and its settings. */
interface Kind {
  readonly pattern: RegExp;
  /** @returns undefined for a variant without known settings */
  describe(name: string, steps: number | undefined, form: Form): FewStep | undefined;
}

const KINDS: readonly Kind[] = [
  {
    // sd_turbo, sdxl-turbo, sd_xl_turbo_1.0
    pattern: /(^|-)sd-?(xl-?)?turbo(-|$)/,
    describe: (_name, _steps, form) => ({
      kind: 'Turbo',
      defaults: {
        ...{ steps: 4, cfg: OFF, sampler: 'euler_a', schedule: 'trailing' },
        ...(form === 'model' ? { width: 512, height: 512 } : {}),
      },
    }),
  },
  {
    // sdxl_lightning_4step, SDXL-Lightning 8steps; the one for a single step predicts x0.
    pattern: /lightning/,
    describe: (name, steps) =>
      steps === undefined
        ? undefined
        : {
            kind: `${steps}-step Lightning`,
            defaults: { steps, cfg: OFF, sampler: 'euler', schedule: 'trailing' },
            ...(steps === 1 && /-x0(-|$)/.test(name) ? { prediction: 'x0' as const } : {}),
          },
  },
  {
    // Hyper-SD15-4steps-lora, Hyper-SDXL-8steps-CFG-lora; those of flow-matching models have other settings.
    pattern: /(^|-)hyper-?sd(?!-?3)/,
    describe: hyper,
  },
  // TCD-SDXL-LoRA
  { pattern: /(^|-)tcd(-|$)/, describe: () => TCD },
  // lcm-lora-sdv1-5, DreamShaper_8LCM
  { pattern: /(^|[-\d])lcm(-?lora|[-\d]|$)/, describe: () => LCM_LORA },
];

function hyper(name: string, steps: number | undefined): FewStep | undefined {
  if (steps === undefined) return undefined;
  const kind = `${steps}-step Hyper-SD`;
  if (steps === 1) {
    // The U-Net for one step starts at timestep 800, which no schedule does.
    if (/-unet(-|$)/.test(name)) return undefined;
    return { kind, defaults: { steps, cfg: OFF, sampler: 'tcd', eta: 1 } };
  }
  const guided = /-cfg(-|$)/.test(name);
  return {
    kind,
    defaults: { steps, sampler: 'ddim', schedule: 'trailing', ...(guided ? {} : { cfg: OFF }) },
  };
}

function byName(names: readonly string[], form: Form): FewStep | undefined {
  for (const text of names) {
    const name = text.toLowerCase().replace(/[\s_.-]+/g, '-');
    const steps = Number(/(?<!\d)([1-9]\d?)-?steps?(?![a-z])/.exec(name)?.[1]) || undefined;
    for (const { pattern, describe } of KINDS) {
      const found = pattern.test(name) ? describe(name, steps, form) : undefined;
      if (found) return found;
    }
  }
  return undefined;
}
