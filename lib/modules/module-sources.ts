/** The modules of a model as the native side knows them. */
import type { ModuleKind, NativeConfig } from '../binding/types.js';
import type { ModelSource } from '../checkpoint/model-descriptor.js';
import type { ComponentWeights } from '../checkpoint/weights/component.js';
import { moduleKindOf } from './text-encoder.js';

export interface ModuleSource {
  readonly part: 'text_encoder' | 'unet' | 'autoencoder';
  readonly kind: ModuleKind;
  /** Tells modules of a model apart: `text encoder`, `text encoder 2`, `U-Net`, `autoencoder`. */
  readonly label: string;
  readonly config: NativeConfig;
  readonly weights: ComponentWeights;
}

export function moduleSources({ textEncoders, unet, autoencoder }: ModelSource): ModuleSource[] {
  const texts = textEncoders.map(({ config, weights, kind }, i): ModuleSource => {
    const label = i === 0 ? 'text encoder' : `text encoder ${i + 1}`;
    return { part: 'text_encoder', kind: moduleKindOf(kind), label, config: { ...config }, weights };
  });
  const drawing: ModuleSource = {
    part: 'unet',
    kind: 'unet',
    label: 'U-Net',
    config: { ...unet.config },
    weights: unet.weights,
  };
  // Pixels need no module.
  if (autoencoder.kind === 'pixels') return [...texts, drawing];
  return [
    ...texts,
    drawing,
    {
      part: 'autoencoder',
      kind: autoencoder.kind,
      label: 'autoencoder',
      config: { ...autoencoder.config },
      weights: autoencoder.weights,
    },
  ];
}
