/** Names of version 0.1, exported until 1.0 so that existing programs keep working. */

import { openVqganModel } from './families/shared/vqgan/open-vqgan.js';
import { VqganPipeline } from './pipelines/vqgan/vqgan-pipeline.js';
import { coordinateIndices } from './sampling/autoregressive/coordinates.js';
import { codeLikelihood } from './sampling/autoregressive/likelihood.js';
import { sampleCodeIndices } from './sampling/autoregressive/sample.js';
import { slideCodeIndices } from './sampling/autoregressive/slide.js';

/** @deprecated Use `VqganPipeline`. */
export const CodesPipeline = VqganPipeline;
/** @deprecated Use `VqganPipeline`. */
export type CodesPipeline = VqganPipeline;
/** @deprecated Use `openVqganModel`. */
export const openCodesModel = openVqganModel;
/** @deprecated Use `coordinateIndices`. */
export const coordinateCodes = coordinateIndices;
/** @deprecated Use `codeLikelihood`. */
export const codesLikelihood = codeLikelihood;
/** @deprecated Use `sampleCodeIndices`. */
export const sampleCodes = sampleCodeIndices;
/** @deprecated Use `slideCodeIndices`. */
export const slideCodes = slideCodeIndices;
