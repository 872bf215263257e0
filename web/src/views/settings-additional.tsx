/** Shows the options restored from an image that have no controls in the form; each can be removed. */
import { entriesOfFurther } from '../logic/additional-options.js';
import { set, settings } from '../state/form.js';
import { Fold, IconButton } from '../ui/controls.js';

/** Options that other sections of the form set. */
const WITH_CONTROLS: ReadonlySet<string> = new Set(['dynamicPrompts']);

export function AdditionalOptions() {
  const { further } = settings.value;
  const entries = entriesOfFurther(further).filter(({ name }) => !WITH_CONTROLS.has(name));
  if (entries.length === 0) return null;
  const remove = (name: string): void => {
    const { [name]: _, ...rest } = further;
    set({ further: rest });
  };
  return (
    <Fold title="Additional options" summary={entries.map(({ label }) => label).join(', ')}>
      <dl class="facts">
        {entries.map(({ name, label, value }) => (
          <div key={name}>
            <dt>{label}</dt>
            <dd>
              <span>{value}</span>
              <IconButton icon="trash" label={`Remove ${label}`} onClick={() => remove(name)} />
            </dd>
          </div>
        ))}
      </dl>
    </Fold>
  );
}
