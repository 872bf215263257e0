/**
 * "Did you mean ...?" suggestions: the nearest known name by spelling, or the counterpart of another program's name.
 */

/**
 * Options by their normalized names in diffusers, A1111, ComfyUI, OpenAI's API and others. The first candidate that the
 * call accepts is suggested; `hires.scale` is a candidate if the call accepts `hires`.
 */
const OPTIONS: Readonly<Record<string, readonly string[]>> = {
  negativeprompt: ['negative'],
  negprompt: ['negative'],
  negativetext: ['negative'],
  unconditional: ['negative'],
  negativepromptembeds: ['negative'],
  promptembeds: ['positive'],
  text: ['prompt'],
  input: ['prompt', 'image'],
  guidancescale: ['cfg'],
  guidance: ['cfg'],
  cfgscale: ['cfg'],
  textcfgscale: ['cfg'],
  classifierfreeguidance: ['cfg'],
  unconditionalguidancescale: ['cfg'],
  numinferencesteps: ['steps'],
  inferencesteps: ['steps'],
  numsteps: ['steps'],
  samplesteps: ['steps'],
  samplingsteps: ['steps'],
  ddimsteps: ['steps'],
  hrsecondpasssteps: ['hires.steps'],
  n: ['count'],
  numimages: ['count'],
  numimagesperprompt: ['count'],
  numoutputs: ['count'],
  numsamples: ['count'],
  nsamples: ['count'],
  samples: ['count'],
  batchcount: ['count'],
  niter: ['count'],
  iterations: ['count'],
  batchsize: ['batch'],
  denoisingstrength: ['strength'],
  denoisestrength: ['strength'],
  denoise: ['strength'],
  imagestrength: ['strength'],
  promptstrength: ['strength'],
  image: ['init'],
  images: ['init'],
  img: ['init'],
  initimage: ['init'],
  initimages: ['init'],
  initimg: ['init'],
  inputimage: ['init'],
  sourceimage: ['init'],
  startimage: ['init'],
  latents: ['latent'],
  initlatent: ['latent'],
  maskimage: ['mask'],
  inpaintmask: ['mask'],
  maskblurx: ['maskBlur'],
  inpaintingfill: ['fill'],
  maskedcontent: ['fill'],
  inpaintfullres: ['onlyMasked'],
  inpaintfullrespadding: ['padding'],
  onlymaskedpadding: ['padding'],
  inpaintingmaskinvert: ['maskInvert'],
  samplername: ['sampler'],
  samplerindex: ['sampler'],
  samplingmethod: ['sampler'],
  samplemethod: ['sampler'],
  scheduler: ['schedule'],
  schedulename: ['schedule'],
  schedulername: ['schedule'],
  scheduletype: ['schedule'],
  noiseschedule: ['schedule'],
  sigmas: ['schedule'],
  generator: ['seed'],
  manualseed: ['seed'],
  noiseseed: ['seed'],
  randomseed: ['seed'],
  randomnumbergenerator: ['rng'],
  noisesource: ['rng'],
  variationseed: ['subseed'],
  seedvariation: ['subseed'],
  variationseedstrength: ['subseedStrength'],
  variationstrength: ['subseedStrength'],
  variationamount: ['subseedStrength'],
  seedresizefromw: ['seedResizeFrom'],
  seedresizefromh: ['seedResizeFrom'],
  ensd: ['etaNoiseSeedDelta'],
  ddimeta: ['eta'],
  noisemultiplier: ['initialNoiseMultiplier'],
  clipstopatlastlayers: ['clipSkip'],
  rescalecfg: ['guidanceRescale'],
  adaptiveprojectedguidance: ['apg'],
  cfgrescale: ['guidanceRescale'],
  size: ['width and height'],
  resolution: ['width and height'],
  imagesize: ['width and height'],
  aspectratio: ['width and height'],
  w: ['width'],
  h: ['height'],
  enablehr: ['hires'],
  hiresfix: ['hires'],
  highres: ['hires'],
  hrscale: ['hires.scale', 'scale'],
  hrupscaler: ['hires.upscaler', 'upscaler'],
  hrresizex: ['hires.width'],
  hrresizey: ['hires.height'],
  hiresscale: ['hires.scale'],
  hiresupscaler: ['hires.upscaler'],
  hiressteps: ['hires.steps'],
  hiresstrength: ['hires.strength'],
  upscale: ['hires.scale', 'scale'],
  upscaleby: ['hires.scale', 'scale'],
  factor: ['scale'],
  upscalefactor: ['scale', 'hires.scale'],
  cache: ['deepCache'],
  cacheinterval: ['deepCache.interval', 'interval'],
  cachebranchid: ['deepCache.branch', 'branch'],
  classlabel: ['class'],
  classlabels: ['class'],
  label: ['class'],
  abortsignal: ['signal'],
  abort: ['signal'],
  abortcontroller: ['signal'],
  callback: ['onProgress', 'onStep'],
  callbackonstepend: ['onStep', 'onProgress'],
  progress: ['onProgress'],
  progresscallback: ['onProgress'],
  device: ['backend'],
  dtype: ['storage'],
  torchdtype: ['storage'],
  precision: ['storage'],
  quantization: ['storage'],
  numthreads: ['threads'],
  nthreads: ['threads'],
  lowvram: ['memory'],
  medvram: ['memory'],
  lowmemory: ['memory'],
  vaepath: ['vae'],
  vaemodel: ['vae'],
  autoencoder: ['vae'],
  predictiontype: ['prediction'],
  parametrization: ['prediction'],
  useema: ['ema'],
  yaml: ['config'],
  components: ['parts'],
  modules: ['parts'],
  force: ['overwrite'],
  nodes: ['names', 'taps'],
  temp: ['temperature'],
};

/** Values of enumerated options by their normalized names in other programs. */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  gpu: ['cuda'],
  nvidia: ['cuda'],
  nv: ['cuda'],
  mps: ['metal'],
  epsilon: ['eps'],
  noise: ['eps'],
  vprediction: ['v'],
  velocity: ['v'],
  sample: ['x0'],
  xstart: ['x0'],
  fp32: ['f32'],
  float32: ['f32'],
  float: ['f32'],
  fp16: ['f16'],
  float16: ['f16'],
  half: ['f16'],
  bfloat16: ['bf16'],
  int8: ['q8_0'],
  int4: ['q4_0'],
  q4km: ['q4_K'],
  q4ks: ['q4_K'],
  q5km: ['q5_K'],
  q5ks: ['q5_K'],
  low: ['lean'],
  normal: ['balanced'],
  high: ['fast'],
  latentnoise: ['noise'],
  latentnothing: ['nothing'],
  justresize: ['resize'],
  cropandresize: ['crop'],
  cover: ['crop'],
  resizeandfill: ['fill'],
  contain: ['fill'],
  justresizelatentupscale: ['latent'],
  clip: ['text_encoder'],
  textencoder1: ['text_encoder'],
  vae: ['autoencoder', 'decoder'],
  transformer: ['unet'],
};

/** Returns the accepted option nearest to an unknown name, or undefined if none is near. */
export function suggestOption(name: string, known: Iterable<string>): string | undefined {
  const keys = [...known];
  const exact = keys.find((key) => normalized(key) === normalized(name));
  if (exact !== undefined) return exact;
  // hasOwn: `constructor` and other inherited names are no aliases.
  const aliases = (Object.hasOwn(OPTIONS, normalized(name)) && OPTIONS[normalized(name)]) || [];
  return aliases.find((alias) => keys.includes(/^\w+/.exec(alias)?.[0] ?? '')) ?? nearest(name, keys);
}

/** Returns the accepted value nearest to an unknown one, or undefined if none is near. */
export function suggestValue(value: unknown, names: readonly string[]): string | undefined {
  if (typeof value !== 'string') return undefined;
  const exact = names.find((name) => normalized(name) === normalized(value));
  if (exact !== undefined) return exact;
  const aliases = (Object.hasOwn(VALUES, normalized(value)) && VALUES[normalized(value)]) || [];
  return aliases.find((alias) => names.includes(alias)) ?? nearest(value, names);
}

/** Returns `did you mean steps?`, a clause for an error message; undefined without a suggestion. */
export function didYouMean(suggestion: string | undefined): string | undefined {
  return suggestion === undefined ? undefined : `did you mean ${suggestion}?`;
}

/** Names longer than this many characters are not compared. */
const MAX_LENGTH = 60;

/**
 * Returns the candidate with the smallest edit distance, at most a third of the word's length (at least 1); else the
 * first candidate that starts with the word; else undefined.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const target = normalized(word);
  if (target.length < 2 || target.length > MAX_LENGTH) return undefined;
  let best: string | undefined;
  let least = Math.max(1, Math.floor(target.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(target, normalized(candidate));
    if (distance < least) [best, least] = [candidate, distance];
  }
  if (best !== undefined || target.length < 3) return best;
  return candidates.find((candidate) => normalized(candidate).startsWith(target));
}

/**
 * Reduces a name to lower-case letters and digits: `guidance_scale`, `guidanceScale` and `Guidance scale` become equal.
 */
function normalized(name: string): string {
  return name
    .toLowerCase()
    .replaceAll('++', 'pp')
    .replace(/[^\p{L}\p{N}]+/gu, '');
}

/** Returns the optimal string alignment distance: insertions, deletions, replacements and swaps of adjacent letters. */
export function editDistance(a: string, b: string): number {
  let [before, last] = [[] as number[], Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + same);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) cost = Math.min(cost, before[j - 2]! + 1);
      row.push(cost);
    }
    [before, last] = [last, row];
  }
  return last[b.length]!;
}
