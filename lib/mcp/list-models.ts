/** The tool `list_models`: everything that the arguments of the other tools can name. */
import { z } from 'zod';
import { defined } from '../defined.js';
import { Descriptions } from '../jobs/models/describe.js';
import { resamplers } from '../options/declarations/upscale.js';
import { openPromptFiles } from '../pipelines/prompt-files.js';
import { samplers } from '../sampling/samplers/index.js';
import { schedules } from '../sampling/schedules/index.js';
import type { McpParts, Tool } from './tool.js';

const model = z.object({
  name: z.string(),
  kind: z
    .enum(['diffusion', 'codes', 'unknown'])
    .describe(
      'diffusion: for generate_image and edit_image; codes: a VQGAN, which these tools do not use; unknown: not readable',
    ),
  default: z.boolean().describe('true for the model used by calls that name none'),
  family: z.string().optional(),
  width: z.int().optional().describe('default size in pixels'),
  height: z.int().optional(),
  factor: z.int().optional().describe('both sides of an image must be multiples of it'),
  steps: z.number().optional().describe('defaults of the model'),
  cfg: z.number().optional(),
  sampler: z.string().optional(),
  schedule: z.string().optional(),
  problem: z.string().optional().describe('reason why the model cannot be read'),
});
type Model = z.output<typeof model>;

const output = z.object({
  models: z.array(model),
  upscalers: z.array(
    z.object({ name: z.string(), scale: z.number().describe('ratio of the sides of result and image') }),
  ),
  loras: z.array(z.string()).describe('names for <lora:NAME:WEIGHT> in prompts'),
  samplers: z.array(z.string()),
  schedules: z.array(z.string()),
  limits: z
    .object({
      maxSide: z.int(),
      maxPixels: z.int(),
      maxCount: z.int(),
      maxSteps: z.int(),
      maxPrompt: z.int(),
    })
    .describe(
      'largest side and number of pixels of an image, images per call, steps, and characters of a prompt',
    ),
});

export function listModelsTool({ catalog, files }: McpParts): Tool {
  const descriptions = new Descriptions();
  const { loras } = openPromptFiles(files);
  const describe = async ({
    name,
    path,
  }: {
    readonly name: string;
    readonly path: string;
  }): Promise<Model> => {
    const common = { name, default: name === catalog.defaultModel };
    try {
      const description = await descriptions.describe(path);
      if (description.kind === 'codes') return { ...common, kind: 'codes' };
      const { kind, family, width, height, factor, steps, cfg, sampler, schedule } = description;
      return {
        ...common,
        ...defined({ kind, family, width, height, factor, steps, cfg, sampler, schedule }),
      };
    } catch (error) {
      return { ...common, kind: 'unknown', problem: error instanceof Error ? error.message : String(error) };
    }
  };
  return {
    ...{
      name: 'list_models',
      title: 'List models',
      readOnly: true,
      input: { type: 'object', properties: {} },
      output,
    },
    description:
      'Lists the models with their default settings, and the upscalers, LoRAs, samplers and schedules that calls can name.',
    run: async () => {
      const upscalers = (await catalog.upscalers.list()).flatMap(({ name, facts }) =>
        facts ? [{ name, scale: facts.scale }] : [],
      );
      const structuredContent: z.output<typeof output> = {
        models: await Promise.all(catalog.models.map(describe)),
        upscalers: [...upscalers, ...Object.keys(resamplers).map((name) => ({ name, scale: 2 }))],
        // The folder may not exist yet.
        loras: ((await loras?.list().catch(() => [])) ?? []).map(({ name }) => name),
        samplers: samplers.map(({ name }) => name),
        schedules: schedules.map(({ name }) => name),
        limits: catalog.limits,
      };
      return { content: [{ type: 'text', text: JSON.stringify(structuredContent) }], structuredContent };
    },
  };
}
