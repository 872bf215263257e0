/** Tools that generate images. Their arguments are the options of jobs, under the same names. */
import { z } from 'zod';
import { jobShapes } from '../jobs/schemas.js';
import { describeImage } from './image-input.js';
import { callJob } from './job-call.js';
import { jobResult } from './results.js';
import type { JsonSchema, McpParts, Tool } from './tool.js';

type Shapes = ReturnType<typeof jobShapes>;

/**
 * Options in the schemas that clients see, which become part of the context of their language model. All other options of
 * the job type are accepted, too.
 */
const COMMON = [
  ...(['prompt', 'negative', 'width', 'height', 'count', 'seed'] as const),
  ...(['steps', 'cfg', 'sampler', 'schedule'] as const),
] as const;
const GENERATE = [
  ...COMMON,
  'styles',
  'tiling',
  'hires',
] as const satisfies readonly (keyof Shapes['text-to-image'])[];
const EDIT = [
  ...(['init', 'mask', ...COMMON, 'strength', 'resizeMode'] as const),
  ...(['maskBlur', 'maskInvert', 'fill', 'onlyMasked', 'padding'] as const),
] as const satisfies readonly (keyof Shapes['inpaint'])[];
const UPSCALE = [
  ...(['image', 'upscaler', 'scale', 'size', 'crop'] as const),
] as const satisfies readonly (keyof Shapes['upscale'])[];

const OTHER_OPTIONS =
  'Further options of `safelight generate`, such as clipSkip or eta, are accepted under their API names.';

export function imageTools(parts: McpParts): Tool[] {
  const { local, catalog } = parts;
  const shapes = jobShapes(catalog.limits);
  const image = (kind: string) => z.string().min(1).describe(describeImage(kind, local));
  const model = z
    .string()
    .optional()
    .describe(`name of a model from list_models; default ${catalog.defaultModel}`);
  const { mask: _mask, ...withoutMask } = pick(shapes.inpaint, EDIT);
  return [
    {
      ...{ name: 'generate_image', title: 'Generate an image', readOnly: false, output: jobResult },
      description: `Generates images from a text prompt with a Stable Diffusion model on the server. LoRAs are named in the prompt: <lora:NAME:WEIGHT>. ${OTHER_OPTIONS}`,
      input: schemaOf({ ...pick(shapes['text-to-image'], GENERATE), model }),
      run: (args, call) => callJob('text-to-image', args, call, parts),
    },
    {
      ...{ name: 'edit_image', title: 'Edit an image', readOnly: false, output: jobResult },
      description: `Changes an image according to a prompt (image to image), only where a mask is white if there is one (inpainting). ${OTHER_OPTIONS}`,
      input: schemaOf({
        ...withoutMask,
        init: image('The image to edit'),
        mask: image('Mask image, whose white areas are generated and whose black areas are kept').optional(),
        model,
      }),
      run: (args, call) => callJob(args.mask === undefined ? 'image-to-image' : 'inpaint', args, call, parts),
    },
    {
      ...{ name: 'upscale_image', title: 'Upscale an image', readOnly: false, output: jobResult },
      description:
        'Enlarges an image with an upscaler model from list_models, or by interpolation (lanczos, nearest).',
      input: schemaOf({ ...pick(shapes.upscale, UPSCALE), image: image('The image to upscale') }),
      run: (args, call) => callJob('upscale', args, call, parts),
    },
  ];
}

function pick<S extends z.ZodRawShape, K extends keyof S>(shape: S, names: readonly K[]): Pick<S, K> {
  return Object.fromEntries(names.map((name) => [name, shape[name]])) as Pick<S, K>;
}

/** Returns the JSON schema of an object with these and any other fields. */
function schemaOf(shape: z.ZodRawShape): JsonSchema {
  const { $schema: _, ...schema } = z.toJSONSchema(z.object(shape), { io: 'input', unrepresentable: 'any' });
  return schema;
}
