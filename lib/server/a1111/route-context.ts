import type { Catalog } from '../../jobs/models/catalog.js';
import type { JobSchemas } from '../../jobs/schemas.js';
import type { JobQueue } from '../../jobs/types.js';
import type { AdapterLibrary } from '../adapters/library.js';
import type { ServeConfig } from '../config.js';
import type { Activity } from './activity.js';
import type { Checkpoints } from './checkpoints.js';
import type { Settings } from './settings.js';
import type { Style } from './styles.js';

/** Dependencies shared by A1111's routes. */
export interface RouteContext {
  readonly queue: JobQueue;
  readonly pool: Catalog['pool'];
  /** Schemas of job options. */
  readonly schemas: JobSchemas;
  readonly config: ServeConfig;
  readonly checkpoints: Checkpoints;
  readonly activity: Activity;
  readonly adapters: AdapterLibrary;
  readonly upscalers: Catalog['upscalers'];
  /** True if workers run the jobs, so that this server loads no models. */
  readonly isRemote: boolean;
  styles(): Promise<Style[]>;
  settings(): Promise<Settings>;
  saveSettings(settings: Settings): Promise<void>;
}
