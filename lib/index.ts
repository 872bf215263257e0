/**
 * Latent diffusion for Node.js: pipelines that generate images, the modules they run, samplers, and tools for model files.
 *
 * @module safelight
 */

export type { LoraDescription, LoraKind } from './adapters/describe-lora.js';
export type { LoraOption } from './adapters/lora-options.js';
export { backends } from './binding/backends.js';
export { TensorRef } from './binding/tensor-ref.js';
export type {
  BackendChoice,
  BackendInfo,
  BackendName,
  MemoryInfo,
  NodeInfo,
  StorageType,
} from './binding/types.js';
export { type LossConfig, usualLosses } from './checkpoint/config/omegaconf/losses.js';
export type {
  AutoencoderConfig,
  FewStep,
  GenerationDefaults,
  LatentTransformerConfig,
  LpipsConfig,
  OrderName,
  PatchDiscriminatorConfig,
  SchedulerConfig,
  TextEncoderConfig,
  TinyAutoencoderConfig,
  TinyLayer,
  UNetConfig,
  VQModelConfig,
} from './checkpoint/config/types.js';
export type {
  ClassSource,
  ConditionSource,
  FirstStageSource,
  LatentSource,
  ModelSource,
  OpenModelOptions,
  PixelSource,
  TinyAutoencoderSource,
  VQModelSource,
} from './checkpoint/model-descriptor.js';
export { starterModel } from './checkpoint/open.js';
export type { Chunk } from './conditioning/chunks.js';
export type { Emphasis } from './conditioning/emphasis.js';
export { type PromptPart, parsePrompt } from './conditioning/prompt.js';
export type { Encoding } from './conditioning/prompt-encoder.js';
export {
  CodesPipeline,
  codesLikelihood,
  coordinateCodes,
  openCodesModel,
  sampleCodes,
  slideCodes,
} from './deprecated.js';
export { type ErrorCode, SafelightError } from './errors.js';
export type { ModelFamily } from './families/registry.js';
export { openModel } from './families/registry.js';
export {
  type OpenVqganOptions,
  openVqganModel,
  type VqganCondition,
  type VqganModelSource,
} from './families/shared/vqgan/open-vqgan.js';
export { sketchStarter } from './families/shared/vqgan/vqgan-defaults.js';
export type { VqganTransformerSource } from './families/shared/vqgan/vqgan-transformer.js';
export {
  type DownloadedModel,
  listModels,
  locateModel,
  type PullModelOptions,
  type PullProgress,
  type PullResult,
  pullModel,
  removeModel,
} from './hub/index.js';
export { formatParameters, type GenerationParameters, parseParameters } from './image/parameters.js';
export { encodePng, readPngText } from './image/png.js';
export { type ImageSource, type RawImage, type ReadOptions, readImage } from './image/read.js';
export type { ResizeMode } from './image/resize-mode.js';
export { Autoencoder } from './modules/autoencoder.js';
export { type CodeUsage, codeUsage } from './modules/code-usage.js';
export { TinyAutoencoder } from './modules/codecs/tiny-autoencoder.js';
export { CodeSequence, LatentTransformer, type SequenceInputs } from './modules/latent-transformer.js';
export { Lpips, type LpipsSource } from './modules/lpips.js';
export { PatchDiscriminator, type PatchDiscriminatorSource } from './modules/patch-discriminator.js';
export { TextEncoder } from './modules/text-encoder.js';
export { CrossAttentionState, UNet } from './modules/unet.js';
export {
  type DecodeLatentOptions,
  type Quantized,
  type QuantizeOptions,
  VQModel,
} from './modules/vq-model.js';
export {
  type AutoencoderLosses,
  type LossModules,
  type LossOptions,
  vqganLosses,
} from './modules/vqgan-losses.js';
export type { Full, LowRank, WeightPatch } from './modules/weight-patch.js';
export type { HiresOptions, HiresUpscaler } from './options/declarations/hires.js';
export type { MaskFill, MaskOptions } from './options/declarations/mask.js';
export type { VariationOptions } from './options/declarations/noise.js';
export type { DeepCacheOptions, SamplingOptions } from './options/declarations/sampling.js';
export type { Posterior } from './options/declarations/source.js';
export type { GivenEmbeddings } from './options/declarations/text.js';
export {
  type KnownAdapter,
  type KnownAdapters,
  type Restored,
  restoreOptions,
  type UnrestoredSetting,
} from './options/infotext/restore.js';
export type { GivenEncoding } from './pipelines/diffusion/check-encoding.js';
export type { DenoiseOptions } from './pipelines/diffusion/denoise-stage.js';
export type { DenoiseStep } from './pipelines/diffusion/denoising/denoise-loop.js';
export type { Edit, EditInfo, Edits } from './pipelines/diffusion/denoising/edited-network.js';
export type { GenerateResult, GenerationStep } from './pipelines/diffusion/generation.js';
export { Pipeline, type PipelineInfo } from './pipelines/diffusion/pipeline.js';
export type {
  DecodeOptions,
  EncodeImageOptions,
  EncodeTextOptions,
  TokenizeOptions,
} from './pipelines/diffusion/stages.js';
export type { GenerationStream } from './pipelines/diffusion/stream.js';
export type { GridAxes } from './pipelines/grid/axes.js';
export type { GridAxis } from './pipelines/grid/axis.js';
export type { CellOptions } from './pipelines/grid/cell-options.js';
export type { CellImage, GridCell, GridProgress } from './pipelines/grid/generate-cells.js';
export {
  type GridControl,
  type GridResult,
  GridSheet,
  generateGrid,
} from './pipelines/grid/generate-grid.js';
export { GeneratedImage, type SaveOptions } from './pipelines/image-result.js';
export type { LoadPipelineOptions, ModelPart } from './pipelines/model/load-options.js';
export type { GenerateOptions } from './pipelines/options.js';
export type { Progress } from './pipelines/progress.js';
export type { AttentionMap, AttentionOptions } from './pipelines/trace/attention-map.js';
export type { NodesOptions } from './pipelines/trace/nodes.js';
export { type PatchMap, patchMap } from './pipelines/trace/patch-map.js';
export type { LoadUpscalerOptions, UpscaleOptions, UpscaleProgress } from './pipelines/upscale/options.js';
export { type SaveUpscaledOptions, UpscaledImage } from './pipelines/upscale/upscaled-image.js';
export { Upscaler, type UpscalerInfo } from './pipelines/upscale/upscaler.js';
export type { CodebookUsage, CodeGrid } from './pipelines/vqgan/grid.js';
export type { LogLikelihood } from './pipelines/vqgan/likelihood.js';
export type { LoadVqganOptions } from './pipelines/vqgan/load-options.js';
export type {
  DecodeIndicesOptions,
  EncodedIndices,
  Reconstruction,
  VqganImageOptions,
} from './pipelines/vqgan/reconstruct.js';
export type { SampleResult, SampleStep, VqganStream } from './pipelines/vqgan/sample.js';
export type { DrawOptions, SampleOptions } from './pipelines/vqgan/sample-options.js';
export type { Score, ScoreLosses, ScoreOptions } from './pipelines/vqgan/score.js';
export { type VqganInfo, VqganPipeline } from './pipelines/vqgan/vqgan-pipeline.js';
export type { ChoiceOptions } from './sampling/autoregressive/choose.js';
export { coordinateIndices } from './sampling/autoregressive/coordinates.js';
export {
  codeLikelihood,
  type Likelihood,
  type LikelihoodOptions,
} from './sampling/autoregressive/likelihood.js';
export { codeOrder, type Order } from './sampling/autoregressive/order.js';
export { type SampleIndicesOptions, sampleCodeIndices } from './sampling/autoregressive/sample.js';
export { type SlideOptions, slideCodeIndices } from './sampling/autoregressive/slide.js';
export type { CodeIndexStep, CodeIndices, CodeModel } from './sampling/autoregressive/types.js';
export { windowSide } from './sampling/autoregressive/window.js';
export {
  type SamplerFunction,
  type SamplerInfo,
  type SamplerName,
  samplers,
} from './sampling/samplers/index.js';
export { type ScheduleInfo, type ScheduleName, schedules } from './sampling/schedules/index.js';
export type {
  BrownianNoise,
  Denoise,
  Latent,
  NoiseSource,
  SamplerOptions,
  SamplerStep,
} from './sampling/types.js';
export type { RenderOptions, RgbImage } from './tensor/render.js';
export type { Histogram, TensorStats } from './tensor/stats.js';
export { type AnyTensor, type DType, type Range, Tensor, type TensorData } from './tensor/tensor.js';
export { Tokenizer } from './tokenizers/tokenizer.js';
export { type ConvertOptions, type ConvertResult, convertModel } from './tools/convert.js';
export type { ConvertStorage, Keep } from './tools/convert-types.js';
export {
  type ConditionFacts,
  type InspectedComponent,
  type Inspection,
  type InspectOptions,
  inspectModel,
} from './tools/inspect.js';
export type { InspectedEmbedding } from './tools/inspect-embedding.js';
export type { InspectedLora } from './tools/inspect-lora.js';
export { type MergeOptions, type MergeResult, mergeModels } from './tools/merge.js';
export type { MergeMethod } from './tools/merge-plan.js';
export {
  type PackedModule,
  type PackOptions,
  packedModules,
  packModel,
  removePacked,
} from './tools/pack.js';
export type { OnWarning, Warning, WarningCode } from './warnings.js';
