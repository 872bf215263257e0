/** Description of an upscaler's file. */
import { type UpscalerFacts, type UpscalerModel, upscalerFromTensors } from '../checkpoint/open-upscaler.js';
import type { TensorIndex } from '../checkpoint/weights/tensor-index.js';
import { SafelightError } from '../errors.js';
import { elementCount } from '../tensor/shape.js';

/** An upscaler as plain data. */
export type InspectedUpscaler = UpscalerFacts &
  UpscalerModel & {
    /** Naming scheme of its parameters in the file. */
    readonly dialect: string;
    /** Number of parameters. */
    readonly parameters: number;
  };

/** Describes the upscaler among a file's tensors; null if there is none. */
export async function upscalerIn(
  path: string,
  tensors: TensorIndex,
): Promise<{ readonly upscaler?: InspectedUpscaler; readonly problem: string | null } | null> {
  try {
    const source = await upscalerFromTensors(tensors, path);
    if (source === null) return null;
    const { facts, weights, ...model } = source;
    let parameters = 0;
    for (const { shape } of weights.parameters.values()) parameters += elementCount(shape);
    return { upscaler: { ...facts, ...model, dialect: weights.dialect, parameters }, problem: null };
  } catch (error) {
    const codes = ['UNSUPPORTED_MODEL', 'MISSING_TENSOR', 'SHAPE_MISMATCH'];
    if (!(error instanceof SafelightError) || !codes.includes(error.code)) throw error;
    return { problem: error.message };
  }
}
