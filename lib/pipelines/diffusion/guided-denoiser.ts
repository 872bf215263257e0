/** The U-Net as the sampler sees it: conditions, texts and further inputs settled, run whole or with a step cache. */
import type { UNetInputs } from '../../modules/unet.js';
import {
  type Condition,
  combinePredictions,
  possibleConditions,
  repeatFor,
} from '../../sampling/guidance.js';
import type { Latent } from '../../sampling/types.js';
import { Tensor } from '../../tensor/tensor.js';
import type { DenoiseModel, DenoiseRun } from './denoise-loop.js';
import type { ModelCondition } from './guidance-branch.js';
import { StepCache } from './step-cache.js';

/** The U-Net with everything but latent and time settled. */
export class Network {
  taps: Readonly<Record<string, Tensor>> = {};
  private readonly cache: StepCache | undefined;
  private readonly inputs = new Map<string, Omit<UNetInputs, 'sample' | 'timestep'>>();

  constructor(
    private readonly model: DenoiseModel,
    private readonly run: DenoiseRun,
  ) {
    if (run.deepCache) this.cache = new StepCache(model.unet, run.deepCache);
  }

  async predict(scaled: Latent, t: number, conditions: readonly Condition[]): Promise<Latent> {
    this.cache?.begin(conditions);
    const pictures = this.run.latent.shape[0]!;
    // Taps are of one run, with all conditions in it.
    if (!this.model.oneByOne || this.run.taps?.length) {
      const all = await this.forward(scaled, t, conditions);
      return combinePredictions(this.run.guidance, conditions, all, pictures);
    }
    const all = new Float32Array(scaled.length * conditions.length);
    for (const [i, condition] of conditions.entries()) {
      all.set(await this.forward(scaled, t, [condition]), i * scaled.length);
    }
    return combinePredictions(this.run.guidance, conditions, all, pictures);
  }

  /** These conditions in one batch. */
  private async forward(scaled: Latent, t: number, conditions: readonly Condition[]): Promise<Latent> {
    const { latent, extra, taps, signal } = this.run;
    const [pictures = 0, channels = 0, height = 0, width = 0] = latent.shape;
    const rows = pictures * conditions.length;
    let sample = Tensor.from(repeatFor(conditions, scaled), [rows, channels, height, width]);
    if (extra) sample = joinChannels(sample, extra);
    const inputs = {
      sample,
      timestep: Tensor.from(new Float32Array(rows).fill(t), [rows]),
      ...(await this.inputsFor(conditions, pictures)),
    };
    const output = await (this.cache
      ? this.cache.run(inputs, conditions, signal)
      : this.model.unet.forward(inputs, { taps, signal }));
    this.taps = output.taps;
    return output.sample.data;
  }

  /** The same at every step. */
  private async inputsFor(conditions: readonly Condition[], pictures: number) {
    const key = conditions.join();
    let inputs = this.inputs.get(key);
    if (!inputs) {
      const encodings = conditions.map((condition) => this.run.conditioning[condition]);
      inputs = {
        ...(await this.texts(conditions, pictures)),
        ...labelsOf(encodings, pictures),
        ...this.additions(encodings, conditions, pictures),
      };
      this.inputs.set(key, inputs);
    }
    return inputs;
  }

  /** The text of each row: kept with the U-Net, or its states where taps want to see what becomes of them. */
  private async texts(conditions: readonly Condition[], pictures: number) {
    const { conditioning, guidance, taps, signal } = this.run;
    const all = possibleConditions(guidance);
    const contexts = all.flatMap((condition) => conditioning[condition].context ?? []);
    if (contexts.length < all.length) return {};
    const kept = taps?.length ? undefined : await this.run.texts.keep(this.model.unet, contexts, signal);
    if (!kept)
      return {
        context: repeatRows(
          conditions.map((one) => contexts[all.indexOf(one)]!),
          pictures,
        ),
      };
    const rows = conditions.flatMap((one) => new Array<number>(pictures).fill(all.indexOf(one)));
    return { text: { of: kept, rows } };
  }

  /** SDXL's: pooled text, and the sizes that the picture pretends to have. */
  private additions(
    encodings: readonly ModelCondition[],
    conditions: readonly Condition[],
    pictures: number,
  ) {
    const { addition } = this.model.unet.config;
    const pooled = encodings.flatMap((e) => e.pooled ?? []);
    if (!addition || pooled.length < encodings.length) return {};
    const count = Math.round((addition.input_dim - pooled[0]!.size) / addition.time_embed_dim);
    const { width, height } = this.run.pixels;
    const ids = conditions.map((condition) => {
      // Original size, corner of the crop, and target size; the refiner has an aesthetic score in the last one's place.
      const all =
        count === 5
          ? [height, width, 0, 0, condition === 'positive' ? 6 : 2.5]
          : [height, width, 0, 0, height, width];
      return Tensor.from(Float32Array.from(all), [1, all.length]);
    });
    return { textEmbeds: repeatRows(pooled, pictures), timeIds: repeatRows(ids, pictures) };
  }
}

/** Numbers of classes, where that is what the U-Net is told. */
function labelsOf(encodings: readonly ModelCondition[], times: number): { classLabels?: Tensor<Int32Array> } {
  const rows = encodings.flatMap(({ label }) => (label ? new Array<number>(times).fill(label.data[0]!) : []));
  return rows.length === 0 ? {} : { classLabels: Tensor.from(Int32Array.from(rows), [rows.length]) };
}

/** Tensors `[1, ...]` each `times` over, one after the other. */
function repeatRows(tensors: readonly Tensor[], times: number): Tensor {
  const [first] = tensors as [Tensor];
  const out = new Float32Array(first.size * times * tensors.length);
  tensors.forEach((tensor, i) => {
    for (let k = 0; k < times; k++) out.set(tensor.data, (i * times + k) * first.size);
  });
  return Tensor.from(out, [times * tensors.length, ...first.shape.slice(1)]);
}

/** `[R, C, h, w]` and `[1 or B, n, h, w]` (repeated until there are R) to `[R, C + n, h, w]`. */
export function joinChannels(sample: Tensor, extra: Tensor): Tensor {
  const [rows = 0, channels = 0, height = 0, width = 0] = sample.shape;
  const more = extra.shape[1]!;
  const joined = Tensor.zeros([rows, channels + more, height, width]);
  for (let r = 0; r < rows; r++) {
    const row = joined.at(r).data;
    row.set(sample.at(r).data);
    row.set(extra.at(r % extra.shape[0]!).data, channels * height * width);
  }
  return joined;
}
