/** What the server says, by its own types. */
import type { Job, JobImage } from '../../../lib/jobs/types.js';

export type { JobPreview, JobProgress, JobStatus, JobType } from '../../../lib/jobs/types.js';

export interface Picture extends JobImage {
  readonly url: string;
}

/** A job as `GET /v1/jobs/:id` gives it. */
export interface ShownJob extends Omit<Job, 'extra' | 'previews' | 'images'> {
  readonly images: readonly Picture[];
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
