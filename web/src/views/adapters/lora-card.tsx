/** Card of a LoRA: a button that adds its tag to the prompt or removes it, its weights and its trigger words. */
import type { Lora } from '../../api/adapters.js';
import { tagNameOf } from '../../logic/adapter-search.js';
import type { LoraTag, WeightTarget } from '../../logic/lora-tags.js';
import { changeWeight, tags, tagsOf, toggleLora } from '../../state/adapters.js';
import { NumberField, Slider } from '../../ui/numbers.js';
import { Description, Thumbnail, Words } from './card.js';

const KINDS: Readonly<Record<string, string>> = {
  ...{ lora: 'LoRA', locon: 'LoCon', loha: 'LoHa', lokr: 'LoKr', dora: 'DoRA' },
  ...{ ia3: 'IA³', oft: 'OFT', boft: 'BOFT', full: 'full weights', mixed: 'several forms' },
};

interface LoraCardProps {
  readonly lora: Lora;
  /** All LoRAs, among which its name must be unique. */
  readonly loras: readonly Lora[];
}

export function LoraCard({ lora, loras }: LoraCardProps) {
  const { name, file, kind, family, rank, thumbnail, triggerWords, problem } = lora;
  const own = tagsOf(loras, lora, tags.value);
  const isActive = own.length > 0;
  const isNameless = tagNameOf(loras, lora) === undefined;
  const reason = problem ?? (isNameless ? `${file}: rename it without : and >, which end a tag` : undefined);
  const facts = [...(kind === null ? [] : [KINDS[kind] ?? kind]), ...(rank === null ? [] : [rankText(rank)])];
  return (
    <li class={`adapter ${isActive ? 'on' : ''}`}>
      <button
        type="button"
        class="adapter-toggle"
        title={file}
        aria-pressed={isActive}
        disabled={reason !== undefined && !isActive}
        onClick={() => toggleLora(lora)}
      >
        <Thumbnail kind="loras" file={file} exists={thumbnail} used={isActive} />
        <Description name={name} family={family} facts={facts} />
      </button>
      {reason !== undefined && <p class="problem">{reason}</p>}
      {own.map((tag, i) => (
        <Weights key={`${i} ${tag.name}`} name={own.length > 1 ? `${name}, tag ${i + 1}` : name} tag={tag} />
      ))}
      {triggerWords.length > 0 && <Words label={`Trigger words of ${name}`} words={triggerWords} />}
    </li>
  );
}

/** Weight of a tag; two weights if the tag has one for the U-Net. */
function Weights({ name, tag }: { readonly name: string; readonly tag: LoraTag }) {
  if (tag.unet === undefined)
    return <Weight label={`Weight of ${name}`} tag={tag} target="te" value={tag.te} />;
  return (
    <>
      <span class="hint">Text encoder</span>
      <Weight label={`Text encoder weight of ${name}`} tag={tag} target="te" value={tag.te} />
      <span class="hint">U-Net</span>
      <Weight label={`U-Net weight of ${name}`} tag={tag} target="unet" value={tag.unet} />
    </>
  );
}

interface WeightProps {
  readonly label: string;
  readonly tag: LoraTag;
  readonly target: WeightTarget;
  readonly value: number;
}

/** Weights of tags beyond the slider's ends are kept; this is the limit of the server. */
const MAX_WEIGHT = 100;

function Weight({ label, tag, target, value }: WeightProps) {
  const weight = Number.isFinite(value) ? value : 1;
  const change = (next: number): void => changeWeight(tag, target, next);
  return (
    <div class="weight">
      <Slider label={label} value={weight} min={-2} max={2} step={0.05} onChange={change} />
      <NumberField
        label={`${label} as a number`}
        value={weight}
        min={-MAX_WEIGHT}
        max={MAX_WEIGHT}
        step={0.05}
        onChange={(next) => next !== null && change(next)}
      />
    </div>
  );
}

function rankText(rank: number | readonly number[]): string {
  if (typeof rank === 'number') return `rank ${rank}`;
  return `ranks ${Math.min(...rank)} to ${Math.max(...rank)}`;
}
