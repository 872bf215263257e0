/** Sections for single modes: hires fix, mask, and sampling of code indices. */
import { useEffect } from 'preact/hooks';
import { choiceFields } from '../../../lib/options/declarations/autoregressive.js';
import { hiresFields } from '../../../lib/options/declarations/hires.js';
import { maskFields } from '../../../lib/options/declarations/mask.js';
import { plain } from '../logic/format.js';
import { limitsOf } from '../logic/limits.js';
import { set, settings } from '../state/form.js';
import { about } from '../state/session.js';
import { refreshUpscalers, upscalers } from '../state/upscalers.js';
import { Fold, Select, Toggle } from '../ui/controls.js';
import { NumberField, Slider } from '../ui/numbers.js';
import { PromptField } from './prompt.js';
import { Seed } from './settings-size.js';

const { fields } = hiresFields.hires;

export function Hires() {
  const { hires, hiresScale, hiresSteps, hiresStrength } = settings.value;
  const { hiresPrompt, hiresNegative } = settings.value;
  return (
    <Fold title="Hires fix" summary={hires ? `scale ${plain(hiresScale)}` : 'off'}>
      <Toggle label="Second pass at a larger size" on={hires} onChange={(on) => set({ hires: on })} />
      <div class="pair">
        <NumberField
          label="Scale"
          value={hiresScale}
          {...limitsOf(fields.scale, about.value)}
          step={0.25}
          onChange={(value) => set({ hiresScale: value ?? 2, hires: true })}
        />
        <NumberField
          label="Hires steps"
          value={hiresSteps}
          {...limitsOf(fields.steps, about.value)}
          optional
          fallback="same"
          onChange={(value) => set({ hiresSteps: value, hires: true })}
        />
      </div>
      <Slider
        label="Hires strength"
        value={hiresStrength}
        min={0.05}
        max={limitsOf(fields.strength, about.value).max}
        step={0.05}
        onChange={(value) => set({ hiresStrength: value, hires: true })}
      />
      <HiresUpscaler />
      <div>
        <PromptField
          label="Hires prompt"
          value={hiresPrompt}
          placeholder="Same as in the first pass"
          onInput={(text) => set({ hiresPrompt: text })}
          rows={2}
        />
      </div>
      <div>
        <PromptField
          label="Hires negative prompt"
          negative
          value={hiresNegative}
          placeholder="Same as in the first pass"
          onInput={(text) => set({ hiresNegative: text })}
          rows={2}
        />
      </div>
    </Fold>
  );
}

/** The built-in upscalers and the models of the server, which are listed again whenever the section is opened. */
function HiresUpscaler() {
  useEffect(() => void refreshUpscalers(), []);
  const { hiresUpscaler: value } = settings.value;
  const known = [...(about.value?.hiresUpscalers ?? []), ...upscalers.value];
  const options = known.map(({ name, label }) => [name, label] as const);
  const isKnown = known.some(({ name }) => name === value);
  return (
    <Select
      label="Upscaler"
      value={value}
      options={isKnown ? options : [...options, [value, `${value} (not available)`]]}
      onChange={(upscaler) => set({ hiresUpscaler: upscaler, hires: true })}
    />
  );
}

const FILLS = [
  ['original', 'Original image'],
  ['fill', 'Surrounding colors'],
  ['noise', 'Latent noise'],
  ['nothing', 'Latent zeros'],
] as const;

export function MaskSettings() {
  const { maskBlur, fill, onlyMasked, padding } = settings.value;
  const content = FILLS.find(([name]) => name === fill)?.[1].toLowerCase();
  return (
    <Fold title="Mask" summary={`blur ${maskBlur}, ${content}`}>
      <Slider
        label="Mask blur"
        value={maskBlur}
        {...limitsOf(maskFields.maskBlur, about.value)}
        step={1}
        onChange={(value) => set({ maskBlur: value })}
      />
      <Select
        label="Masked content"
        value={fill}
        options={FILLS}
        onChange={(value) => set({ fill: value })}
      />
      <Toggle
        label="Only masked area, at full size"
        on={onlyMasked}
        onChange={(on) => set({ onlyMasked: on })}
      />
      {onlyMasked && (
        <NumberField
          label="Padding around the mask (pixels)"
          value={padding}
          {...limitsOf(maskFields.padding, about.value)}
          step={4}
          onChange={(value) => set({ padding: value ?? 32 })}
        />
      )}
    </Fold>
  );
}

export function SketchSampling() {
  const { temperature, topK, topP } = settings.value;
  return (
    <Fold
      title="Sampling"
      summary={temperature === null ? 'model’s defaults' : `temperature ${plain(temperature)}`}
    >
      <NumberField
        label="Temperature"
        value={temperature}
        {...limitsOf(choiceFields.temperature, about.value)}
        step={0.1}
        optional
        fallback="model’s"
        onChange={(value) => set({ temperature: value })}
      />
      <div class="pair">
        <NumberField
          label="Top k"
          value={topK}
          {...limitsOf(choiceFields.topK, about.value)}
          step={10}
          optional
          fallback="model’s"
          onChange={(value) => set({ topK: value })}
        />
        <NumberField
          label="Top p"
          value={topP}
          {...limitsOf(choiceFields.topP, about.value)}
          step={0.05}
          optional
          fallback="model’s"
          onChange={(value) => set({ topP: value })}
        />
      </div>
      <Seed />
    </Fold>
  );
}
