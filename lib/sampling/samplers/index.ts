export { type ResolvedSampler, resolveSampler } from './names.js';
export {
  checkSampler,
  discardPenultimate,
  type FlowForm,
  initialNoiseScale,
  type SampledModel,
  type SamplerInfo,
  type SamplerName,
  samplerNames,
  samplers,
} from './registry.js';
