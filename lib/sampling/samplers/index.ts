export { customSampler, type SamplerFunction } from './custom.js';
export { type ResolvedSampler, resolveSampler } from './names.js';
export {
  checkSampler,
  discardPenultimate,
  type FlowForm,
  initialNoiseScale,
  type RunnableSampler,
  type SampledModel,
  type SamplerInfo,
  type SamplerName,
  samplerNames,
  samplers,
} from './registry.js';
