/** Bounds that turn a typing error into an error instead of hours of work. A server has tighter ones than the API. */

export interface Limits {
  /** Pixels of a side. */
  readonly maxSide: number;
  /** Pixels of a whole image. */
  readonly maxPixels: number;
  /** Images of one call or job. */
  readonly maxCount: number;
  readonly maxSteps: number;
  /** Characters (UTF-16 units) of a prompt. */
  readonly maxPrompt: number;
}

/** Limits of the API; 120,000 characters are some 1,600 windows of CLIP where each is a token. */
export const apiLimits: Limits = {
  maxSide: 2 ** 14,
  maxPixels: 2 ** 26,
  maxCount: 1000,
  maxSteps: 1000,
  maxPrompt: 120_000,
};

/** Limits of a server, unless it is configured otherwise. */
export const serverLimits: Limits = {
  maxSide: 2048,
  maxPixels: 2048 * 2048,
  maxCount: 64,
  maxSteps: 150,
  maxPrompt: 10_000,
};
