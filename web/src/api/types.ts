/** What the server says, by its own types. */
import type { Job, JobImage } from '../../../lib/jobs/types.js';

export type { JobPreview, JobProgress, JobStatus, JobType } from '../../../lib/jobs/types.js';

export interface ShownImage extends JobImage {
  readonly url: string;
}

/** Something about a job that its user should know, such as a part of the prompt that has no effect. */
export interface Warning {
  readonly code: string;
  readonly message: string;
}

/** A job as `GET /v1/jobs/:id` gives it. */
export interface ShownJob extends Omit<Job, 'extra' | 'previews' | 'images' | 'warnings'> {
  readonly images: readonly ShownImage[];
  /** Missing on jobs of earlier versions. */
  readonly warnings?: readonly Warning[];
}

/** One of `GET /v1/styles`. */
export interface Style {
  readonly name: string;
  readonly prompt: string;
  readonly negative: string;
}

export interface ModelAbout {
  readonly name: string;
  readonly kind: 'diffusion' | 'codes' | 'unknown';
  readonly loaded: boolean;
  readonly diffusion?: {
    readonly family: string;
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

/** `GET /v1/about` */
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
