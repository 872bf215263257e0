/** How large, how many, and by which chance. */
import type { ModelAbout } from '../api/types.js';
import { model, set, settings } from '../state/form.js';
import { about } from '../state/session.js';
import { Fold, IconButton } from '../ui/controls.js';
import { NumberField } from '../ui/numbers.js';

export function SizeAndNumber() {
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

export function Seed() {
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
