export { type ErrorCode, SafelightError } from './errors.js';
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
export type { ResizeMode } from './image/fit.js';
export { formatParameters, type GenerationParameters, parseParameters } from './image/parameters.js';
export { encodePng, readPngText } from './image/png.js';
export { type ImageSource, type RawImage, type ReadOptions, readImage } from './image/read.js';
export { Autoencoder } from './models/autoencoder.js';
export { type CodeUsage, codeUsage } from './models/code-usage.js';
export { sketchStarter } from './models/codes-defaults.js';
export {
  type CodesCondition,
  type CodesModelSource,
  type OpenCodesOptions,
  openCodesModel,
} from './models/codes-model.js';
export type { CodesWriterSource } from './models/codes-writer.js';
export type {
  AutoencoderConfig,
  GenerationDefaults,
  LatentTransformerConfig,
  LpipsConfig,
  ModelFamily,
  OrderName,
  PatchDiscriminatorConfig,
  SchedulerConfig,
  TextEncoderConfig,
  UNetConfig,
  VQModelConfig,
} from './models/config.js';
export { type LossConfig, usualLosses } from './models/config-losses.js';
export { type ConvertOptions, type ConvertResult, convertModel } from './models/convert.js';
export type { ConvertStorage, Keep } from './models/convert-types.js';
export { inspectModel } from './models/inspect.js';
export { CodeSequence, LatentTransformer, type SequenceInputs } from './models/latent-transformer.js';
export { Lpips, type LpipsSource } from './models/lpips.js';
export { openModel, starterModel } from './models/open-model.js';
export {
  type PackedModule,
  type PackOptions,
  packedModules,
  packModel,
  removePacked,
} from './models/pack.js';
export { PatchDiscriminator, type PatchDiscriminatorSource } from './models/patch-discriminator.js';
export type {
  ClassSource,
  ConditionSource,
  FirstStageSource,
  LatentSource,
  ModelSource,
  OpenModelOptions,
  PixelSource,
  VQModelSource,
} from './models/source.js';
export { TextEncoder } from './models/text-encoder.js';
export { KeptTexts, UNet } from './models/unet.js';
export {
  type DecodeLatentOptions,
  type Quantized,
  type QuantizeOptions,
  VQModel,
} from './models/vq-model.js';
export {
  type AutoencoderLosses,
  type LossModules,
  type LossOptions,
  vqganLosses,
} from './models/vqgan-losses.js';
export { backends } from './native/backends.js';
export type {
  BackendChoice,
  BackendInfo,
  BackendName,
  MemoryInfo,
  NodeInfo,
  StorageType,
} from './native/types.js';
export type { AttentionMap, AttentionOptions } from './pipelines/attention-map.js';
export type { GivenEncoding } from './pipelines/check-encoding.js';
export type { CodeGrid, CodesUsage } from './pipelines/codes/grid.js';
export type { LogLikelihood } from './pipelines/codes/likelihood.js';
export type { LoadCodesOptions } from './pipelines/codes/load-options.js';
export type {
  CodesPictureOptions,
  DecodeCodesOptions,
  PictureCodes,
  Reconstruction,
} from './pipelines/codes/reconstruct.js';
export type { CodesStream, SampleResult, SampleStep } from './pipelines/codes/sample.js';
export type { DrawOptions, SampleOptions } from './pipelines/codes/sample-options.js';
export type { Score, ScoreLosses, ScoreOptions } from './pipelines/codes/score.js';
export { type CodesInfo, CodesPipeline } from './pipelines/codes-pipeline.js';
export type { Encoding } from './pipelines/conditioning.js';
export type { DenoiseStep } from './pipelines/denoise-loop.js';
export type { DenoiseOptions } from './pipelines/denoise-stage.js';
export type { GenerateResult, GenerationStep } from './pipelines/generation.js';
export type { HiresOptions, HiresUpscaler } from './pipelines/hires-options.js';
export { GeneratedImage, type SaveOptions } from './pipelines/image-result.js';
export type { LoadPipelineOptions } from './pipelines/load-options.js';
export type { MaskFill, MaskOptions } from './pipelines/mask-options.js';
export type { ModelPart } from './pipelines/modules.js';
export type { NodesOptions } from './pipelines/nodes.js';
export type { GenerateOptions, Posterior } from './pipelines/options.js';
export { type PatchMap, patchMap } from './pipelines/patch-map.js';
export { Pipeline, type PipelineInfo } from './pipelines/pipeline.js';
export type { Progress } from './pipelines/progress.js';
export { type Restored, restoreOptions, type UnrestoredSetting } from './pipelines/restore.js';
export type { SamplingOptions } from './pipelines/sampling-options.js';
export type {
  DecodeOptions,
  EncodeImageOptions,
  EncodeTextOptions,
  TokenizeOptions,
} from './pipelines/stages.js';
export type { DeepCacheOptions } from './pipelines/step-cache.js';
export type { GenerationStream } from './pipelines/stream.js';
export type { VariationOptions } from './pipelines/variation-options.js';
export type { ChoiceOptions } from './sampling/codes/choose.js';
export { coordinateCodes } from './sampling/codes/coordinates.js';
export { codesLikelihood, type Likelihood, type LikelihoodOptions } from './sampling/codes/likelihood.js';
export { codeOrder, type Order } from './sampling/codes/order.js';
export { type SampleCodesOptions, sampleCodes } from './sampling/codes/sample.js';
export { type SlideCodesOptions, slideCodes } from './sampling/codes/slide.js';
export type { CodeModel, Codes, CodesStep } from './sampling/codes/types.js';
export { windowSide } from './sampling/codes/window.js';
export { type SamplerInfo, type SamplerName, samplers } from './sampling/samplers/index.js';
export { type ScheduleInfo, type ScheduleName, schedules } from './sampling/schedules/index.js';
export type { PictureOptions, RgbImage } from './tensor/picture.js';
export type { Histogram, TensorStats } from './tensor/stats.js';
export { type AnyTensor, type DType, type Range, Tensor, type TensorData } from './tensor/tensor.js';
export type { Chunk } from './text/chunks.js';
export type { Emphasis } from './text/emphasis.js';
export { type PromptPart, parsePrompt } from './text/prompt.js';
export { Tokenizer } from './text/tokenizer.js';
export type { OnWarning, Warning, WarningCode } from './warnings.js';
