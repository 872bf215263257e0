export { type ResolvedSampler, resolveSampler } from './names.js';
export {
  discardPenultimate,
  initialNoiseScale,
  type SampledModel,
  type SamplerInfo,
  type SamplerName,
  samplerNames,
  samplers,
} from './registry.js';
