/** The rest of the form, folded: each fold says what is set in it. */
import { samplingFields } from '../../../lib/options/declarations/sampling.js';
import { encodingFields } from '../../../lib/options/declarations/text.js';
import { plain } from '../logic/format.js';
import { limitsOf } from '../logic/limits.js';
import { fits } from '../logic/request.js';
import { backToDefaults } from '../state/actions.js';
import { mode, model, set, settings } from '../state/form.js';
import { about } from '../state/session.js';
import { Fold, Select } from '../ui/controls.js';
import { NumberField } from '../ui/numbers.js';
import { Words } from './prompt.js';
import { FurtherOptions } from './settings-further.js';
import { Drawing, Hires, Masking } from './settings-modes.js';
import { SizeAndNumber, Variation } from './settings-size.js';
import { Styles } from './styles.js';

export function Settings() {
  const drawing = mode.value === 'sketch';
  return (
    <section class="settings" aria-label="Settings">
      {drawing ? <Drawing /> : <Painting />}
      <ModelChoice />
      <button type="button" class="link" onClick={backToDefaults}>
        Back to the model's defaults
      </button>
    </section>
  );
}

function Painting() {
  return (
    <>
      <Negative />
      <Styles />
      <SizeAndNumber />
      <Variation />
      <Sampling />
      {mode.value === 'text' && <Hires />}
      {mode.value === 'inpaint' && <Masking />}
      <FurtherOptions />
    </>
  );
}

function Negative() {
  const { negative } = settings.value;
  return (
    <Fold title="Negative prompt" summary={negative === '' ? 'none' : negative}>
      <div>
        <Words
          label="Negative prompt"
          value={negative}
          placeholder="What do you not want to see?"
          onInput={(text) => set({ negative: text })}
          rows={2}
        />
      </div>
    </Fold>
  );
}

function Sampling() {
  const { steps, cfg, sampler, schedule, clipSkip } = settings.value;
  const facts = model.value?.diffusion;
  const samplers = about.value?.samplers ?? [];
  const schedules = about.value?.schedules ?? [];
  const name = sampler ?? facts?.sampler;
  const info = samplers.find((one) => one.name === name);
  const summary = [
    info?.label ?? 'model’s sampler',
    `${steps ?? facts?.steps ?? 20} steps`,
    `guidance ${plain(cfg ?? facts?.cfg ?? 7)}`,
  ].join(', ');
  const byModel = (label: string | undefined): string => (label ? `Model’s: ${label}` : 'Model’s');
  return (
    <Fold title="Sampling" summary={summary}>
      <div class="pair">
        <NumberField
          label="Steps"
          value={steps}
          {...limitsOf(samplingFields.steps, about.value)}
          optional
          fallback={facts?.steps ?? 20}
          onChange={(value) => set({ steps: value })}
        />
        <NumberField
          label="Guidance"
          value={cfg}
          {...limitsOf(samplingFields.cfg, about.value)}
          step={0.5}
          optional
          fallback={facts?.cfg ?? 7}
          onChange={(value) => set({ cfg: value })}
        />
      </div>
      <Select
        label="Sampler"
        value={sampler ?? ''}
        options={[
          ['', byModel(samplers.find((one) => one.name === facts?.sampler)?.label)],
          ...samplers.map((one) => [one.name, one.label] as const),
        ]}
        onChange={(value) => set({ sampler: value || null })}
      />
      {!info?.ownsSchedule && (
        <Select
          label="Schedule"
          value={schedule ?? ''}
          options={[
            ['', byModel(schedules.find((one) => one.name === facts?.schedule)?.label)],
            ...schedules.map((one) => [one.name, one.label] as const),
          ]}
          onChange={(value) => set({ schedule: value || null })}
        />
      )}
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
  const models = (about.value?.models ?? []).filter((one) => fits(one, mode.value));
  const broken = (about.value?.models ?? []).filter((one) => one.kind === 'unknown');
  if (models.length < 2 && broken.length === 0) return null;
  return (
    <div class="models">
      <Select
        label="Model"
        value={model.value?.name ?? ''}
        options={models.map(({ name, loaded }) => [name, loaded ? `${name} (ready)` : name])}
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
