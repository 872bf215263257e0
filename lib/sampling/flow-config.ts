/**
 * Config of a flow-matching scheduler, with the field names and defaults of diffusers'
 * `FlowMatchEulerDiscreteScheduler`.
 */
import { z } from 'zod';
import { SafelightError } from '../errors.js';

/** Accepted range of shift factors; beyond it, f32 sigmas of different times coincide. */
const SHIFT = { min: 1e-3, max: 1e3 };

const tokens = z.int().min(1).max(1e9);

const schema = z.lazy(() =>
  z.object({
    num_train_timesteps: z.int().min(2).max(1_000_000).default(1000),
    shift: z.number().min(SHIFT.min).max(SHIFT.max).default(1),
    use_dynamic_shifting: z.boolean().default(false),
    time_shift_type: z.enum(['exponential', 'linear']).default('exponential'),
    base_shift: z.number().default(0.5),
    max_shift: z.number().default(1.15),
    base_image_seq_len: tokens.default(256),
    max_image_seq_len: tokens.default(4096),
    /** Last sigma before 0; 0 and null disable stretching. */
    shift_terminal: z.number().min(0).lt(1).nullish(),
    use_karras_sigmas: z.boolean().nullish(),
    use_exponential_sigmas: z.boolean().nullish(),
    use_beta_sigmas: z.boolean().nullish(),
    invert_sigmas: z.literal(false, 'models with inverted sigmas are not supported').nullish(),
  }),
);

/** Contents of a `scheduler_config.json`; missing fields have diffusers' defaults. */
export type FlowConfig = z.input<typeof schema>;

/** A config with all defaults filled in. */
export type CompleteFlowConfig = z.output<typeof schema>;

/** Validates a config and fills in defaults. @throws UNSUPPORTED_MODEL naming the field */
export function completeFlowConfig(config: FlowConfig): CompleteFlowConfig {
  const result = schema.safeParse(config);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw unsupported(issue?.path.join('.') ?? '', issue?.message ?? 'unexpected value');
  }
  const { data } = result;
  if (data.use_dynamic_shifting && data.base_image_seq_len === data.max_image_seq_len) {
    throw unsupported(
      'max_image_seq_len',
      `expected another value than base_image_seq_len (${data.base_image_seq_len})`,
    );
  }
  const spacings = [data.use_karras_sigmas, data.use_exponential_sigmas, data.use_beta_sigmas];
  if (spacings.filter(Boolean).length > 1) {
    throw unsupported(
      'use_karras_sigmas',
      'only one of use_karras_sigmas, use_exponential_sigmas and use_beta_sigmas may be true',
    );
  }
  return data;
}

/**
 * Returns the factor a of the shift sigma = a t / (1 + (a - 1) t).
 * @throws UNSUPPORTED_MODEL for a factor outside [0.001, 1000]
 */
export function shiftFactor(config: CompleteFlowConfig, mu: number | undefined): number {
  if (!config.use_dynamic_shifting || mu === undefined) return config.shift;
  const factor = config.time_shift_type === 'exponential' ? Math.exp(mu) : mu;
  if (!(factor >= SHIFT.min && factor <= SHIFT.max)) {
    throw unsupported(
      'max_shift',
      `expected a shift between ${SHIFT.min} and ${SHIFT.max} for this image size, computed ${factor} (mu ${mu})`,
    );
  }
  return factor;
}

function unsupported(field: string, problem: string): SafelightError {
  return new SafelightError(
    'UNSUPPORTED_MODEL',
    `Invalid scheduler config: ${field}: ${problem}; check the model's scheduler_config.json`,
  );
}
