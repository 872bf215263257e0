import type { Catalog } from '../../jobs/models/catalog.js';
import type { JobLimits, JobSchemas } from '../../jobs/schemas.js';
import type { JobQueue } from '../../jobs/types.js';
import type { ServeConfig } from '../config.js';
import type { Activity } from './activity.js';
import type { Checkpoints } from './checkpoints.js';
import type { Settings } from './settings.js';
import type { Style } from './styles.js';

/** What A1111's routes share. */
export interface RouteContext {
  readonly queue: JobQueue;
  readonly pool: Catalog['pool'];
  readonly limits: JobLimits;
  /** What jobs may be asked. */
  readonly schemas: JobSchemas;
  readonly config: ServeConfig;
  readonly checkpoints: Checkpoints;
  readonly activity: Activity;
  /** Whether workers elsewhere do the jobs. */
  readonly isRemote: boolean;
  styles(): Promise<Style[]>;
  settings(): Promise<Settings>;
  keep(settings: Settings): Promise<void>;
}
