/** `safelight inspect`: describes the contents of a model file or folder and how they would be loaded. */
import { relative } from 'node:path';
import { Command, Option } from 'commander';
import type { StorageType } from '../../binding/types.js';
import { storageTypes } from '../../checkpoint/weights/storage.js';
import type { InspectedComponent, Inspection, InspectOptions } from '../../tools/inspect.js';
import { embeddingReport, loraReport, matchReport } from '../adapter-report.js';
import { addCommonOptions, type CommonOptions, withoutUndefined } from '../model-options.js';
import { bytes, print, printJson, table } from '../output.js';

interface Flags extends CommonOptions {
  readonly tensors?: boolean;
  readonly variant?: string;
  readonly vae?: string;
  readonly prediction?: 'eps' | 'v' | 'x0';
  readonly ema?: boolean;
  readonly config?: string;
  readonly storage?: StorageType;
  readonly lora?: string;
}

export function inspectCommand(): Command {
  const command = new Command('inspect')
    .summary('describe the contents of a model file or folder, or of an adapter')
    .description(
      'Describe the contents of a model file or folder: family, config, types, sizes, and how each weight is loaded. ' +
        'Of a LoRA: kind, family, rank, the layers that it changes, and trigger words. Of an embedding: its vectors.',
    )
    .argument('<path>', 'folder (diffusers), file (safetensors, GGUF, .ckpt, .pt, .pth, .bin) or shard index')
    .option('--lora <file>', 'describe this LoRA too, and list its tensors that match nothing in the model')
    .option('--tensors', 'list all tensors with the parameters that they become')
    .option('--vae <path>', "autoencoder that replaces the model's")
    .option('--variant <name>', 'weight files NAME.VARIANT.safetensors in a folder, such as fp16')
    .option('--config <file>', 'YAML config of a CompVis checkpoint; default the file next to it')
    .option('--ema', 'use the exponential moving average of the weights')
    .addOption(new Option('--prediction <kind>', 'prediction type of the U-Net').choices(['eps', 'v', 'x0']))
    .addOption(
      new Option('--storage <type>', 'plan the weights for this storage type').choices(storageTypes),
    );
  addCommonOptions(command);
  return command.action(inspect);
}

async function inspect(path: string, flags: Flags): Promise<void> {
  const { inspectModel } = await import('../../tools/inspect.js');
  const { familyLabel } = await import('../../families/registry.js');
  const { variant, vae, prediction, ema, config, storage, lora } = flags;
  const inspection = await inspectModel(
    path,
    withoutUndefined<InspectOptions>({
      variant,
      vae,
      prediction,
      ema,
      config,
      storage,
      lora,
    } as InspectOptions),
  );
  if (flags.json) return printJson(jsonOf(inspection, flags.tensors ?? false));
  const { form, family, lora: adapter, embedding } = inspection;
  const isAdapter = form === 'lora' || form === 'embedding';
  const sections = [
    ...(isAdapter ? [] : [heading(inspection, family && familyLabel(family))]),
    ...(adapter ? [loraReport(adapter, adapter.family && familyLabel(adapter.family))] : []),
    ...(embedding ? [embeddingReport(embedding, family && familyLabel(family))] : []),
    matchReport(inspection),
    components(inspection),
    types(inspection),
    files(inspection),
    ignored(inspection),
  ];
  if (flags.tensors) sections.push(tensorTable(inspection));
  print(sections.filter((section) => section !== '').join('\n\n'));
}

/** Returns the description of an adapter itself, or of a model; tensors only on request. */
function jsonOf({ tensors, ...inspection }: Inspection, all: boolean): unknown {
  const { form, lora, embedding, problem, files, dtypes } = inspection;
  const listed = all ? { tensors } : {};
  if (form === 'lora' || form === 'embedding')
    return { form, ...lora, ...embedding, problem, files, dtypes, ...listed };
  return { ...inspection, ...listed };
}

const FORMS = {
  folder: 'diffusers folder',
  file: 'single file',
  component: 'one component',
  lora: 'LoRA',
  embedding: 'embedding',
  upscaler: 'upscaler',
  other: 'weights',
} as const;
const PREDICTIONS = { eps: 'noise (eps)', v: 'v', x0: 'the image (x0)' } as const;

function heading(inspection: Inspection, family: string | null): string {
  const { path, form, problem, condition, scheduler, predictionUncertain, predictionFrom, defaults } =
    inspection;
  const { upscaler } = inspection;
  const title = family ? `${family}, ${FORMS[form]}` : FORMS[form];
  const lines = [path, title];
  if (upscaler) {
    const { architecture, scale, channels, dialect, receptiveField } = upscaler;
    const reach = receptiveField === null ? '' : `, receptive field ${receptiveField} pixels`;
    lines.push(
      `${architecture} x${scale} for ${channels === 1 ? 'grey' : 'RGB'} images, names ${dialect}${reach}`,
    );
  }
  if (condition?.kind === 'class') lines.push(`Class-conditional, ${condition.classes} classes`);
  if (condition?.kind === 'none') lines.push('Unconditional');
  if (scheduler) {
    const { prediction, beta_schedule, beta_start, beta_end, rescale_zero_snr } = scheduler;
    const guess = predictionUncertain ? ' or v, determined when it is loaded' : '';
    const source =
      predictionFrom?.kind === 'tensor' || predictionFrom?.kind === 'metadata'
        ? ` (from the ${predictionFrom.kind} ${predictionFrom.name})`
        : '';
    const zero = rescale_zero_snr ? ', zero terminal SNR' : '';
    lines.push(
      `Predicts ${PREDICTIONS[prediction]}${guess}${source}; betas ${beta_schedule} ${beta_start} to ${beta_end}${zero}`,
    );
  }
  const defaultTexts = Object.entries(defaults).map(([name, value]) => `${name} ${value}`);
  if (defaultTexts.length > 0) lines.push(`Defaults: ${defaultTexts.join(', ')}`);
  if (problem) lines.push(`Cannot be run: ${problem}`);
  return lines.join('\n');
}

function components({ components }: Inspection): string {
  if (components.length === 0) return '';
  const rows = components.map((component) => {
    const { name, dialect, parameters, bytes: size } = component;
    return [name, dialect, millions(parameters), bytes(size), storages(component), shape(component)];
  });
  return table(['component', 'names', 'parameters', 'in file', 'stored as', 'config'], rows);
}

/** Lists the storage types of the weight plan by size, largest first, ignoring those of less than 1%. */
function storages({ plan }: InspectedComponent): string {
  if (!plan) return '-';
  const counts = new Map<string, number>();
  for (const { storage, source } of plan.entries)
    counts.set(storage, (counts.get(storage) ?? 0) + source.length);
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const main = [...counts]
    .sort((a, b) => b[1] - a[1])
    .filter(([, count], i) => i === 0 || count > total / 100);
  return main.map(([name]) => name).join(' + ');
}

/** Summarizes a config. */
function shape({ config }: InspectedComponent): string {
  if ('hidden_size' in config) {
    const { num_hidden_layers: layers, hidden_size: width, num_attention_heads: heads, hidden_act } = config;
    return `${layers} layers x ${width}, ${heads} heads, ${hidden_act}, window ${config.max_position_embeddings}`;
  }
  if ('encoder' in config) {
    const halves = [config.encoder && 'encoder', config.decoder && 'decoder'].filter(Boolean).join(' and ');
    return `${halves}, ${config.latent_channels} latent channels x ${config.scaling_factor}`;
  }
  const levels = config.block_out_channels.join('-');
  if ('latent_channels' in config) {
    return `${levels}, ${config.latent_channels} latent channels x ${config.scaling_factor}`;
  }
  if ('num_vq_embeddings' in config)
    return `${levels}, codebook of ${config.num_vq_embeddings} x ${config.vq_embed_dim}`;
  const { in_channels, cross_attention_dim, num_attention_heads } = config;
  return `${levels}, ${in_channels} channels in, context ${cross_attention_dim}, heads ${num_attention_heads.join('-')}`;
}

function types({ dtypes }: Inspection): string {
  return table(
    ['type', 'tensors', 'size'],
    dtypes.map(({ dtype, tensors, bytes: size }) => [dtype, `${tensors}`, bytes(size)]),
  );
}

function files({ files, path }: Inspection): string {
  if (files.length <= 1) return '';
  const rows = files.map((file) => [
    relative(path, file.path) || file.path,
    `${file.tensors}`,
    bytes(file.bytes),
  ]);
  return table(['file', 'tensors', 'size'], rows);
}

function ignored({ ignored }: Inspection): string {
  if (ignored.length === 0) return '';
  const shown = ignored.slice(0, 5).map(({ name, dtype, shape }) => `${name} ${dtype} [${shape.join(', ')}]`);
  const more = ignored.length > shown.length ? `, and ${ignored.length - shown.length} more (--tensors)` : '';
  return `Not used: ${shown.join(', ')}${more}`;
}

function tensorTable({ tensors, components }: Inspection): string {
  const targets = planned(components);
  const rows = tensors.map(({ name, dtype, shape, length, file, offset }) => [
    name,
    dtype,
    `[${shape.join(', ')}]`,
    bytes(length),
    targets.get(`${file}\0${offset}`)?.join('; ') ?? '-',
  ]);
  return table(['tensor', 'type', 'shape', 'size', 'becomes'], rows);
}

/** Maps file and offset to parameters, because a tensor may become several parameters (a fused in_proj). */
function planned(components: readonly InspectedComponent[]): Map<string, string[]> {
  const targets = new Map<string, string[]>();
  for (const { name: component, plan } of components) {
    for (const { name, source, storage, transform } of plan?.entries ?? []) {
      const key = `${plan!.files[source.file]}\0${source.offset}`;
      const conversion = transform ? `${storage}, ${transform.op}` : storage;
      targets.set(key, [...(targets.get(key) ?? []), `${component} ${name} (${conversion})`]);
    }
  }
  return targets;
}

function millions(count: number): string {
  return count >= 1e9 ? `${(count / 1e9).toFixed(2)} G` : `${(count / 1e6).toFixed(count < 1e7 ? 2 : 1)} M`;
}
