/** Card of an embedding, with buttons that add its name to the prompts or remove it. */
import type { Embedding } from '../../api/adapters.js';
import { hasWord } from '../../logic/prompt-words.js';
import { toggleWord } from '../../state/adapters.js';
import { settings } from '../../state/form.js';
import { Description, Thumbnail } from './card.js';

const FIELDS = [
  ['prompt', 'Prompt'],
  ['negative', 'Negative prompt'],
] as const;

export function EmbeddingCard({ embedding }: { readonly embedding: Embedding }) {
  const { name, file, family, vectors, thumbnail, problem } = embedding;
  const texts = settings.value;
  const isActive = FIELDS.some(([field]) => hasWord(texts[field], name));
  const facts = vectors === null ? [] : [vectors === 1 ? '1 vector' : `${vectors} vectors`];
  return (
    <li class={`adapter ${isActive ? 'on' : ''}`}>
      <div class="adapter-head" title={file}>
        <Thumbnail kind="embeddings" file={file} exists={thumbnail} used={isActive} />
        <Description name={name} family={family} facts={facts} />
      </div>
      {problem !== undefined && <p class="problem">{problem}</p>}
      <fieldset class="chips" aria-label={`Add ${name} to`}>
        {FIELDS.map(([field, label], i) => {
          const isIn = hasWord(texts[field], name);
          return (
            <button
              key={field}
              type="button"
              class={`chip ${i === 0 ? 'adapter-toggle' : ''}`}
              aria-pressed={isIn}
              disabled={problem !== undefined && !isIn}
              onClick={() => toggleWord(field, name)}
            >
              {label}
            </button>
          );
        })}
      </fieldset>
    </li>
  );
}
