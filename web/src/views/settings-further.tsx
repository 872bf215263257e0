/** Options that came with an image and have no controls here: shown, and taken away one by one. */
import { entriesOfFurther } from '../logic/further.js';
import { set, settings } from '../state/form.js';
import { Fold, IconButton } from '../ui/controls.js';

export function FurtherOptions() {
  const { further } = settings.value;
  const entries = entriesOfFurther(further);
  if (entries.length === 0) return null;
  const remove = (name: string): void => {
    const { [name]: _, ...rest } = further;
    set({ further: rest });
  };
  return (
    <Fold title="Further options" summary={entries.map(({ label }) => label).join(', ')}>
      <dl class="facts">
        {entries.map(({ name, label, value }) => (
          <div key={name}>
            <dt>{label}</dt>
            <dd>
              <span>{value}</span>
              <IconButton icon="trash" label={`Leave out ${label}`} onClick={() => remove(name)} />
            </dd>
          </div>
        ))}
      </dl>
    </Fold>
  );
}
