/** A sampling pass with its prompts, the adapters that they name, and its conditioning. */
import type { AppliedLoras } from '../../../adapters/apply-loras.js';
import { bundledEmbeddings } from '../../../adapters/embeddings/bundled-embeddings.js';
import type { EmbeddingFile } from '../../../adapters/embeddings/embedding-file.js';
import { misfitMessage, modelEmbedding } from '../../../adapters/embeddings/model-embedding.js';
import type { PromptEncoder } from '../../../conditioning/prompt-encoder.js';
import { type Evaluations, promptTexts } from '../../../conditioning/prompt-schedule.js';
import type { FoundEmbeddings } from '../../../conditioning/token-embeddings.js';
import type { LoadedModel, RegionRequest } from '../../../families/shared/loaded-model.js';
import { maskOf } from '../../../image/composite.js';
import { readImage } from '../../../image/read.js';
import type { SamplingSettings } from '../../../options/settings/sampling.js';
import type { GuidanceSchedule } from '../../../sampling/guidance.js';
import { interpolate } from '../../../tensor/interpolate.js';
import { Tensor } from '../../../tensor/tensor.js';
import type { Settings } from '../../options.js';
import { type ActiveLora, type PassPrompts, readPassPrompts } from './pass-prompts.js';

/** Size of the latent, and evaluations that steps in the prompts refer to. */
export interface PassShape {
  readonly height: number;
  readonly width: number;
  readonly evaluations: Evaluations;
}

export class AdaptedPass implements Disposable {
  /** Embeddings that the prompts contain, after `encode`. */
  embeddings: readonly EmbeddingFile[] = [];

  private constructor(
    private readonly loaded: LoadedModel,
    private readonly settings: Settings,
    private readonly prompts: PassPrompts,
    private readonly applied: AppliedLoras,
  ) {}

  /**
   * Finds the LoRAs of a pass and registers them.
   * @throws as `readPassPrompts` and `LoadedModel.adapt`
   */
  static async open(
    loaded: LoadedModel,
    settings: Settings,
    texts: { readonly prompt: string; readonly negative: string },
  ): Promise<AdaptedPass> {
    const prompts = await readPassPrompts(texts, settings);
    const loras = prompts.loras.map((lora) => lora.settings);
    const applied = await loaded.adapt(loras, settings.warnings, settings.signal);
    return new AdaptedPass(loaded, settings, prompts, applied);
  }

  /** Name of the patch set of the denoising network. */
  get patches(): string | undefined {
    return this.applied.unet;
  }

  /** Names of the patch sets of the text encoders. */
  get textPatches(): AppliedLoras['text'] {
    return this.applied.text;
  }

  get loras(): readonly ActiveLora[] {
    return this.prompts.loras;
  }

  /**
   * Encodes the prompts, or the class.
   * @throws NOT_FINITE, INVALID_IMAGE and FILE_NOT_FOUND for the mask of a region, errors of reading an embedding, ABORTED
   */
  async encode({ evaluations, height, width }: PassShape): Promise<GuidanceSchedule> {
    const { loaded, settings, prompts, applied } = this;
    const { prompt, negative } = prompts;
    const regions: RegionRequest[] = [];
    for (const region of prompts.regions)
      regions.push({ prompt: region.prompt, mask: await latentMask(region.mask, height, width) });
    const found = await this.find([prompt, ...regions.map((region) => region.prompt)], evaluations);
    const text = { ...settings.text, patches: applied.text, embeddings: found.used };
    const request = { prompt, negative, class: settings.class, text, evaluations, regions };
    return loaded.encode(request, settings.signal);
  }

  /** Finds the embeddings that the prompts contain, in the folder and bundled with the LoRAs. */
  private async find(positives: readonly string[], evaluations: Evaluations): Promise<FoundEmbeddings> {
    const { loaded, settings, prompts } = this;
    const files = await this.candidates();
    if (files.size === 0 || loaded.facts.condition.kind !== 'text') return { used: [], misfits: [] };
    const encoder: PromptEncoder = await loaded.promptEncoder(settings.signal);
    const read = new Map<string, EmbeddingFile>();
    const texts = [
      ...positives.flatMap((prompt) => promptTexts(prompt, evaluations)),
      ...promptTexts(prompts.negative, evaluations, { negative: true }),
    ];
    const found = await encoder.findEmbeddings(texts, settings.text.emphasis, {
      names: [...files.keys()],
      read: async (name) => {
        const file = await files.get(name)!();
        read.set(name, file);
        return modelEmbedding(file, encoder.widths);
      },
    });
    for (const { name } of found.misfits)
      settings.warnings.add('ADAPTER_MISMATCH', misfitMessage(read.get(name)!, encoder.widths));
    this.embeddings = found.used.map(({ name }) => read.get(name)!);
    return found;
  }

  private async candidates(): Promise<Map<string, () => Promise<EmbeddingFile>>> {
    const { files } = this.settings;
    const candidates = new Map<string, () => Promise<EmbeddingFile>>();
    for (const file of this.applied.files)
      for (const embedding of await bundledEmbeddings(file))
        candidates.set(embedding.name, async () => embedding);
    const folder = files.embeddings;
    for (const { name } of (await folder?.listIfPresent()) ?? [])
      if (!candidates.has(name)) candidates.set(name, () => folder!.read(name));
    return candidates;
  }

  [Symbol.dispose](): void {
    this.applied[Symbol.dispose]();
  }
}

/**
 * Returns the evaluations that steps in prompts refer to. As in A1111, samplers that evaluate the network twice per step
 * have twice as many.
 */
export function evaluationsOf({ steps, sampler }: SamplingSettings, count = steps): number {
  return sampler.callsPerStep === 2 ? 2 * count : count;
}

/** Reads the mask of a region as `[h, w]`, the mean of the area that each element of the latent covers. */
async function latentMask(
  source: Settings['regions'][number]['mask'],
  h: number,
  w: number,
): Promise<Tensor> {
  const { data, height, width } = maskOf(await readImage(source, { alpha: 'keep' }), true);
  const mask = Tensor.from(
    Float32Array.from(data, (byte) => byte / 255),
    [height, width],
  );
  return interpolate(mask, h, w, 'area');
}
