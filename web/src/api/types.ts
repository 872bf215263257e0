/** Types of the server's responses. */
import type { Job, JobImage } from '../../../lib/jobs/types.js';

export type { JobPreview, JobProgress, JobStatus, JobType } from '../../../lib/jobs/types.js';

export interface ApiImage extends JobImage {
  readonly url: string;
}

/** A warning of a job, for example about a part of the prompt that has no effect. */
export interface Warning {
  readonly code: string;
  readonly message: string;
}

/** A job as returned by `GET /v1/jobs/:id`. */
export interface ApiJob extends Omit<Job, 'extra' | 'previews' | 'images' | 'warnings'> {
  readonly images: readonly ApiImage[];
  /** Missing in jobs of earlier versions. */
  readonly warnings?: readonly Warning[];
}

/** A style as returned by `GET /v1/styles`. */
export interface Style {
  readonly name: string;
  readonly prompt: string;
  readonly negative: string;
}

/** An upscaler model of `GET /v1/upscalers`; null stands for unknown. */
export interface Upscaler {
  readonly name: string;
  /** A1111's name of it. */
  readonly label: string;
  readonly scale: number | null;
  /** Reason why it cannot be used. */
  readonly problem?: string;
}

export interface Upscalers {
  readonly configured: boolean;
  readonly upscalers: readonly Upscaler[];
}

export interface ModelAbout {
  readonly name: string;
  readonly kind: 'diffusion' | 'codes' | 'unknown';
  readonly loaded: boolean;
  readonly diffusion?: {
    readonly family: string;
    /** Missing in responses of earlier versions. */
    readonly condition?: 'text' | 'class' | 'none';
    readonly width: number;
    readonly height: number;
    readonly factor: number;
    readonly steps?: number;
    readonly cfg?: number;
    readonly sampler?: string;
    readonly schedule?: string;
  };
  readonly codes?: {
    readonly condition: 'none' | 'class' | 'coordinates' | 'image' | null;
    readonly codebook: boolean;
    readonly discriminator: boolean;
  };
  readonly problem?: string;
}

/** Response of `GET /v1/about`. */
export interface About {
  readonly version: string;
  readonly models: readonly ModelAbout[];
  readonly samplers: readonly {
    readonly name: string;
    readonly label: string;
    readonly ownsSchedule: boolean;
  }[];
  readonly schedules: readonly { readonly name: string; readonly label: string }[];
  readonly hiresUpscalers: readonly { readonly name: string; readonly label: string }[];
  readonly limits: {
    readonly maxSide: number;
    readonly maxPixels: number;
    readonly maxCount: number;
    readonly maxSteps: number;
    readonly maxPrompt: number;
  };
  readonly locked: boolean;
}

export interface TokenCount {
  readonly tokens: number;
  readonly windows: number;
  readonly window: number;
}
