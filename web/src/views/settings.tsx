/** The collapsible sections of the form, each with a summary of its settings. */
import { samplingFields } from '../../../lib/options/declarations/sampling.js';
import { encodingFields } from '../../../lib/options/declarations/text.js';
import { plain } from '../logic/format.js';
import { limitsOf } from '../logic/limits.js';
import { fits } from '../logic/request.js';
import { resetToDefaults } from '../state/actions.js';
import { mode, model, set, settings } from '../state/form.js';
import { about } from '../state/session.js';
import { Fold, Select, Toggle } from '../ui/controls.js';
import { NumberField } from '../ui/numbers.js';
import { GridSettings } from './grid/grid-settings.js';
import { PromptField } from './prompt.js';
import { AdditionalOptions } from './settings-additional.js';
import { Hires, MaskSettings, SketchSampling } from './settings-modes.js';
import { SizeAndCount, Variation } from './settings-size.js';
import { Styles } from './styles.js';

export function Settings() {
  const isSketch = mode.value === 'sketch';
  return (
    <section class="settings" aria-label="Settings">
      {isSketch ? <SketchSampling /> : <DiffusionSettings />}
      <ModelChoice />
      <button type="button" class="link" onClick={resetToDefaults}>
        Reset to defaults
      </button>
    </section>
  );
}

function DiffusionSettings() {
  return (
    <>
      <Negative />
      <DynamicPrompts />
      <Styles />
      <SizeAndCount />
      <Variation />
      <GridSettings />
      <Sampling />
      {mode.value === 'text' && <Hires />}
      {mode.value === 'inpaint' && <MaskSettings />}
      <AdditionalOptions />
    </>
  );
}

function Negative() {
  const { negative } = settings.value;
  return (
    <Fold title="Negative prompt" summary={negative === '' ? 'none' : negative}>
      <div>
        <PromptField
          label="Negative prompt"
          negative
          value={negative}
          placeholder="Describe what to avoid"
          onInput={(text) => set({ negative: text })}
          rows={2}
        />
      </div>
    </Fold>
  );
}

/** Switch of an option without a setting of its own, which is therefore kept with the additional options. */
function DynamicPrompts() {
  const { dynamicPrompts, ...rest } = settings.value.further;
  const on = dynamicPrompts === true;
  return (
    <Fold title="Dynamic prompts" summary={on ? 'on' : 'off'}>
      <Toggle
        label="Dynamic prompts"
        on={on}
        onChange={(next) => set({ further: next ? { ...rest, dynamicPrompts: true } : rest })}
      />
      <p class="hint">
        Each image takes one of the variants {'{red|blue}'}, and __name__ stands for a line of{' '}
        <code>wildcards/name.txt</code> in the models folder. The seed of an image determines its choices.
      </p>
    </Fold>
  );
}

function Sampling() {
  const { steps, cfg, sampler, schedule, clipSkip } = settings.value;
  const defaults = model.value?.diffusion;
  const samplers = about.value?.samplers ?? [];
  const schedules = about.value?.schedules ?? [];
  const name = sampler ?? defaults?.sampler;
  const info = samplers.find((item) => item.name === name);
  const summary = [
    info?.label ?? 'model’s sampler',
    `${steps ?? defaults?.steps ?? 20} steps`,
    `guidance ${plain(cfg ?? defaults?.cfg ?? 7)}`,
  ].join(', ');
  const modelDefault = (label: string | undefined): string => (label ? `Model’s: ${label}` : 'Model’s');
  return (
    <Fold title="Sampling" summary={summary}>
      <div class="pair">
        <NumberField
          label="Steps"
          value={steps}
          {...limitsOf(samplingFields.steps, about.value)}
          optional
          fallback={defaults?.steps ?? 20}
          onChange={(value) => set({ steps: value })}
        />
        <NumberField
          label="Guidance"
          value={cfg}
          {...limitsOf(samplingFields.cfg, about.value)}
          step={0.5}
          optional
          fallback={defaults?.cfg ?? 7}
          onChange={(value) => set({ cfg: value })}
        />
      </div>
      <Select
        label="Sampler"
        value={sampler ?? ''}
        options={[
          ['', modelDefault(samplers.find((item) => item.name === defaults?.sampler)?.label)],
          ...samplers.map((item) => [item.name, item.label] as const),
        ]}
        onChange={(value) => set({ sampler: value || null })}
      />
      <Select
        label="Schedule"
        value={schedule ?? ''}
        options={[
          [
            '',
            sampler && info?.ownsSchedule
              ? 'Sampler’s timesteps'
              : modelDefault(schedules.find((item) => item.name === defaults?.schedule)?.label),
          ],
          ...schedules.map((item) => [item.name, item.label] as const),
        ]}
        onChange={(value) => set({ schedule: value || null })}
      />
      <NumberField
        label="Clip skip"
        value={clipSkip}
        {...limitsOf(encodingFields.clipSkip, about.value)}
        optional
        fallback={1}
        onChange={(value) => set({ clipSkip: value })}
      />
    </Fold>
  );
}

function ModelChoice() {
  const kind = mode.value === 'sketch' ? 'codes' : 'diffusion';
  const models = (about.value?.models ?? []).filter((item) => fits(item, mode.value));
  const broken = (about.value?.models ?? []).filter((item) => item.kind === 'unknown');
  if (models.length < 2 && broken.length === 0) return null;
  return (
    <div class="models">
      <Select
        label="Model"
        value={model.value?.name ?? ''}
        options={models.map(({ name, loaded }) => [name, loaded ? `${name} (loaded)` : name])}
        onChange={(name) => set(kind === 'codes' ? { vqganModel: name } : { model: name })}
      />
      {broken.map(({ name, problem }) => (
        <p key={name} class="hint broken">
          {name} cannot be used: {problem}
        </p>
      ))}
    </div>
  );
}
