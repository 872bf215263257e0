/**
 * Upper bounds of option values, so that a typing error is rejected instead of running for hours. The server's are
 * lower than the API's.
 */

export interface Limits {
  /** Side length of an image in pixels. */
  readonly maxSide: number;
  /** Pixels per image. */
  readonly maxPixels: number;
  /** Images per call or job. */
  readonly maxCount: number;
  readonly maxSteps: number;
  /** Length of a prompt in UTF-16 code units. */
  readonly maxPrompt: number;
}

/** Limits of the API. 120,000 characters fill at most about 1,600 chunks of 75 CLIP tokens. */
export const apiLimits: Limits = {
  maxSide: 2 ** 14,
  maxPixels: 2 ** 26,
  maxCount: 1000,
  maxSteps: 1000,
  maxPrompt: 120_000,
};

/** Default limits of the server. */
export const serverLimits: Limits = {
  maxSide: 2048,
  maxPixels: 2048 * 2048,
  maxCount: 64,
  maxSteps: 150,
  maxPrompt: 10_000,
};
