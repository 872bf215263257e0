/** Folds of single modes: the second pass, the mask, how freely a drawing is taken. */
import { choiceFields } from '../../../lib/options/declarations/autoregressive.js';
import { hiresFields } from '../../../lib/options/declarations/hires.js';
import { maskFields } from '../../../lib/options/declarations/mask.js';
import { plain } from '../logic/format.js';
import { limitsOf } from '../logic/limits.js';
import { set, settings } from '../state/form.js';
import { about } from '../state/session.js';
import { Fold, Select, Toggle } from '../ui/controls.js';
import { NumberField, Slider } from '../ui/numbers.js';
import { Words } from './prompt.js';
import { Seed } from './settings-size.js';

const { fields } = hiresFields.hires;

export function Hires() {
  const { hires, hiresScale, hiresSteps, hiresStrength, hiresUpscaler } = settings.value;
  const { hiresPrompt, hiresNegative } = settings.value;
  const upscalers = about.value?.hiresUpscalers ?? [{ name: hiresUpscaler, label: hiresUpscaler }];
  return (
    <Fold title="Hires fix" summary={hires ? `${plain(hiresScale)} times larger` : 'off'}>
      <Toggle label="A second pass at a larger size" on={hires} onChange={(on) => set({ hires: on })} />
      <div class="pair">
        <NumberField
          label="Times larger"
          value={hiresScale}
          {...limitsOf(fields.scale, about.value)}
          step={0.25}
          onChange={(value) => set({ hiresScale: value ?? 2, hires: true })}
        />
        <NumberField
          label="Its steps"
          value={hiresSteps}
          {...limitsOf(fields.steps, about.value)}
          optional
          fallback="same"
          onChange={(value) => set({ hiresSteps: value, hires: true })}
        />
      </div>
      <Slider
        label="Its strength"
        value={hiresStrength}
        min={0.05}
        max={limitsOf(fields.strength, about.value).max}
        step={0.05}
        onChange={(value) => set({ hiresStrength: value, hires: true })}
      />
      <Select
        label="Enlarged by"
        value={hiresUpscaler}
        options={upscalers.map(({ name, label }) => [name, label] as const)}
        onChange={(value) => set({ hiresUpscaler: value, hires: true })}
      />
      <div>
        <Words
          label="Its prompt"
          value={hiresPrompt}
          placeholder="As in the first pass"
          onInput={(text) => set({ hiresPrompt: text })}
          rows={2}
        />
      </div>
      <div>
        <Words
          label="Its negative prompt"
          value={hiresNegative}
          placeholder="As in the first pass"
          onInput={(text) => set({ hiresNegative: text })}
          rows={2}
        />
      </div>
    </Fold>
  );
}

const FILLS = [
  ['original', 'What is there'],
  ['fill', 'Colours around it'],
  ['noise', 'Noise'],
  ['nothing', 'Nothing'],
] as const;

export function Masking() {
  const { maskBlur, fill, onlyMasked, padding } = settings.value;
  const begins = FILLS.find(([name]) => name === fill)?.[1].toLowerCase();
  return (
    <Fold title="Mask" summary={`edge ${maskBlur}, begins with ${begins}`}>
      <Slider
        label="Softness of the edge"
        value={maskBlur}
        {...limitsOf(maskFields.maskBlur, about.value)}
        step={1}
        onChange={(value) => set({ maskBlur: value })}
      />
      <Select label="Begins with" value={fill} options={FILLS} onChange={(value) => set({ fill: value })} />
      <Toggle
        label="Work on the masked part alone, at full size"
        on={onlyMasked}
        onChange={(on) => set({ onlyMasked: on })}
      />
      {onlyMasked && (
        <NumberField
          label="Surroundings it sees (pixels)"
          value={padding}
          {...limitsOf(maskFields.padding, about.value)}
          step={4}
          onChange={(value) => set({ padding: value ?? 32 })}
        />
      )}
    </Fold>
  );
}

export function Drawing() {
  const { temperature, topK, topP } = settings.value;
  return (
    <Fold
      title="How freely"
      summary={temperature === null ? 'model’s own way' : `temperature ${plain(temperature)}`}
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
