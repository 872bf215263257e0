/** The rest of the form, folded: each fold says what is set in it. */
import type { ModelAbout } from '../api/types.js';
import { plain } from '../logic/format.js';
import { fits } from '../logic/request.js';
import { upscalers } from '../logic/settings.js';
import { mode, model, resetSettings, set, settings } from '../state/form.js';
import { about } from '../state/session.js';
import { Fold, IconButton, Select, Toggle } from '../ui/controls.js';
import { NumberField, Slider } from '../ui/numbers.js';
import { Words } from './prompt.js';

export function Settings() {
  const drawing = mode.value === 'sketch';
  return (
    <section class="settings" aria-label="Settings">
      {drawing ? <Drawing /> : <Painting />}
      <ModelChoice />
      <button type="button" class="link" onClick={resetSettings}>
        Back to the model's defaults
      </button>
    </section>
  );
}

function Painting() {
  return (
    <>
      <Negative />
      <SizeAndNumber />
      <Sampling />
      {mode.value === 'text' && <Hires />}
      {mode.value === 'inpaint' && <Masking />}
    </>
  );
}

function Negative() {
  const { negative } = settings.value;
  return (
    <Fold title="Negative prompt" summary={negative === '' ? 'none' : negative}>
      <Words
        label="Negative prompt"
        value={negative}
        placeholder="What do you not want to see?"
        onInput={(text) => set({ negative: text })}
        rows={2}
      />
    </Fold>
  );
}

function SizeAndNumber() {
  const { width, height, count, seed } = settings.value;
  const facts = model.value?.diffusion;
  const [w, h] = [width ?? facts?.width, height ?? facts?.height];
  const size = w && h ? `${w} × ${h}` : 'model’s size';
  const several = count > 1 ? `, ${count} pictures` : '';
  const fixed = seed === null ? '' : `, seed ${seed}`;
  const limits = about.value?.limits;
  const step = facts?.factor ?? 8;
  const side = { min: step, max: limits?.maxSide ?? 2048, step, optional: true };
  return (
    <Fold title="Size and number" summary={size + several + fixed}>
      <Shapes facts={facts} />
      <div class="pair">
        <NumberField
          {...side}
          label="Width"
          value={width}
          fallback={facts?.width}
          onChange={(value) => set({ width: value })}
        />
        <NumberField
          {...side}
          label="Height"
          value={height}
          fallback={facts?.height}
          onChange={(value) => set({ height: value })}
        />
      </div>
      <div class="pair">
        <NumberField
          label="Pictures"
          value={count}
          min={1}
          max={limits?.maxCount ?? 16}
          onChange={(value) => set({ count: value ?? 1 })}
        />
        <Seed />
      </div>
    </Fold>
  );
}

/** Common proportions, at about the number of pixels the model is best at. */
function Shapes({ facts }: { readonly facts: ModelAbout['diffusion'] | undefined }) {
  if (!facts) return null;
  const area = facts.width * facts.height;
  const onGrid = (side: number): number => Math.round(side / facts.factor) * facts.factor;
  const shapes = [
    ['Square', 1],
    ['Portrait', 2 / 3],
    ['Landscape', 3 / 2],
  ] as const;
  return (
    <fieldset class="shapes" aria-label="Proportions">
      {shapes.map(([name, ratio]) => {
        const size = { width: onGrid(Math.sqrt(area * ratio)), height: onGrid(Math.sqrt(area / ratio)) };
        const { width, height } = settings.value;
        const chosen = (width ?? facts.width) === size.width && (height ?? facts.height) === size.height;
        return (
          <button key={name} type="button" class="shape" aria-pressed={chosen} onClick={() => set(size)}>
            <span class={`shape-${name.toLowerCase()}`} aria-hidden="true" />
            {name}
          </button>
        );
      })}
    </fieldset>
  );
}

function Seed() {
  const { seed } = settings.value;
  return (
    <div class="with-button">
      <NumberField
        label="Seed"
        value={seed}
        min={0}
        max={2 ** 52}
        optional
        fallback="random"
        onChange={(value) => set({ seed: value })}
      />
      <IconButton
        icon="dice"
        label="Another seed each time"
        disabled={seed === null}
        onClick={() => set({ seed: null })}
      />
    </div>
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
          min={1}
          max={about.value?.limits.maxSteps ?? 150}
          optional
          fallback={facts?.steps ?? 20}
          onChange={(value) => set({ steps: value })}
        />
        <NumberField
          label="Guidance"
          value={cfg}
          min={0}
          max={30}
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
        min={1}
        max={12}
        optional
        fallback={1}
        onChange={(value) => set({ clipSkip: value })}
      />
    </Fold>
  );
}

function Hires() {
  const { hires, hiresScale, hiresSteps, hiresStrength, hiresUpscaler } = settings.value;
  return (
    <Fold title="Hires fix" summary={hires ? `${plain(hiresScale)} times larger` : 'off'}>
      <Toggle label="A second pass at a larger size" on={hires} onChange={(on) => set({ hires: on })} />
      <div class="pair">
        <NumberField
          label="Times larger"
          value={hiresScale}
          min={1}
          max={4}
          step={0.25}
          onChange={(value) => set({ hiresScale: value ?? 2, hires: true })}
        />
        <NumberField
          label="Its steps"
          value={hiresSteps}
          min={1}
          max={about.value?.limits.maxSteps ?? 150}
          optional
          fallback="same"
          onChange={(value) => set({ hiresSteps: value, hires: true })}
        />
      </div>
      <Slider
        label="Its strength"
        value={hiresStrength}
        min={0.05}
        max={1}
        step={0.05}
        onChange={(value) => set({ hiresStrength: value, hires: true })}
      />
      <Select
        label="Enlarged by"
        value={hiresUpscaler}
        options={upscalers}
        onChange={(value) => set({ hiresUpscaler: value, hires: true })}
      />
    </Fold>
  );
}

const FILLS = [
  ['original', 'What is there'],
  ['fill', 'Colours around it'],
  ['noise', 'Noise'],
  ['nothing', 'Nothing'],
] as const;

function Masking() {
  const { maskBlur, fill, onlyMasked, padding } = settings.value;
  const begins = FILLS.find(([name]) => name === fill)?.[1].toLowerCase();
  return (
    <Fold title="Mask" summary={`edge ${maskBlur}, begins with ${begins}`}>
      <Slider
        label="Softness of the edge"
        value={maskBlur}
        min={0}
        max={64}
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
          min={0}
          max={512}
          step={4}
          onChange={(value) => set({ padding: value ?? 32 })}
        />
      )}
    </Fold>
  );
}

function Drawing() {
  const { temperature, topK, topP } = settings.value;
  return (
    <Fold
      title="How freely"
      summary={temperature === null ? 'model’s own way' : `temperature ${plain(temperature)}`}
    >
      <NumberField
        label="Temperature"
        value={temperature}
        min={0.05}
        max={3}
        step={0.1}
        optional
        fallback="model’s"
        onChange={(value) => set({ temperature: value })}
      />
      <div class="pair">
        <NumberField
          label="Top k"
          value={topK}
          min={1}
          max={100_000}
          step={10}
          optional
          fallback="model’s"
          onChange={(value) => set({ topK: value })}
        />
        <NumberField
          label="Top p"
          value={topP}
          min={0.05}
          max={1}
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
        onChange={(name) => set(kind === 'codes' ? { codesModel: name } : { model: name })}
      />
      {broken.map(({ name, problem }) => (
        <p key={name} class="hint">
          {name} cannot be used: {problem}
        </p>
      ))}
    </div>
  );
}
