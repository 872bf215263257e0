/** Parts that the cards of LoRAs and embeddings share. */
import { useState } from 'preact/hooks';
import { thumbnailUrl } from '../../api/adapters.js';
import { familyLabel, fitsFamily } from '../../logic/adapter-search.js';
import { hasWord } from '../../logic/prompt-words.js';
import { toggleWord } from '../../state/adapters.js';
import { model, settings } from '../../state/form.js';
import { Icon } from '../../ui/icons.js';

interface ThumbnailProps {
  readonly kind: 'loras' | 'embeddings';
  readonly file: string;
  /** False if the file has no image. */
  readonly exists: boolean;
  /** True if a prompt contains it. */
  readonly used: boolean;
}

/** Image beside a file, or a placeholder if there is none or it cannot be read. */
export function Thumbnail({ kind, file, exists, used }: ThumbnailProps) {
  const [broken, setBroken] = useState(false);
  return (
    <span class="adapter-image">
      {exists && !broken ? (
        <img src={thumbnailUrl(kind, file)} alt="" loading="lazy" onError={() => setBroken(true)} />
      ) : (
        <Icon name="image" />
      )}
      {used && (
        <span class="adapter-check">
          <Icon name="check" />
        </span>
      )}
    </span>
  );
}

interface DescriptionProps {
  readonly name: string;
  readonly family: string | null;
  /** Further facts. */
  readonly facts: readonly string[];
}

/** Name and facts of an adapter, and a mark if it was trained for another family than that of the selected model. */
export function Description({ name, family, facts }: DescriptionProps) {
  const selected = model.value?.diffusion?.family;
  const fits = fitsFamily(family, selected);
  return (
    <span class="adapter-text">
      <span class="adapter-name">{name}</span>
      <span class="adapter-facts">
        {[...(family === null ? [] : [familyLabel(family)]), ...facts].join(' · ')}
      </span>
      {!fits && (
        <span class="adapter-misfit">
          For {familyLabel(family ?? '')}, the model is {familyLabel(selected ?? '')}
        </span>
      )}
    </span>
  );
}

interface WordsProps {
  readonly label: string;
  readonly words: readonly string[];
}

/** Buttons that add words to the prompt or remove them. */
export function Words({ label, words }: WordsProps) {
  const { prompt } = settings.value;
  return (
    <fieldset class="chips" aria-label={label}>
      {words.map((word) => (
        <button
          key={word}
          type="button"
          class="chip"
          title={word}
          aria-pressed={hasWord(prompt, word)}
          onClick={() => toggleWord('prompt', word)}
        >
          {word}
        </button>
      ))}
    </fieldset>
  );
}
