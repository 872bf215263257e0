/** Fields of one axis of a grid: the option, and its values as text or as a choice of several. */
import { useId } from 'preact/hooks';
import {
  type AxisChoice,
  axisTopics,
  exampleOf,
  explanationOf,
  valuesToChoose,
} from '../../logic/grid/axis-choices.js';
import {
  AXIS_SETTINGS,
  type AxisName,
  type AxisText,
  chosenValues,
  type FormAxis,
  joinAxis,
  withToggledValue,
} from '../../logic/grid/form-axes.js';
import { mode, model, set } from '../../state/form.js';
import { about } from '../../state/session.js';
import { library } from '../../state/styles.js';

interface AxisProps {
  readonly name: AxisName;
  /** Parts of the grid for which the values stand, such as `columns`. */
  readonly unit: string;
  readonly axis: FormAxis;
}

export function AxisFields({ name, unit, axis }: AxisProps) {
  const id = useId();
  const topics = axisTopics(mode.value, model.value);
  const choices = topics.flatMap((topic) => topic.choices);
  const choice = choices.find((candidate) => candidate.name === axis.option);
  const setAxis = (text: AxisText): void => set({ [AXIS_SETTINGS[name]]: joinAxis(text) });
  return (
    <fieldset class="axis">
      <legend class="visually-hidden">{`${name.toUpperCase()}: ${unit}`}</legend>
      <div class="field">
        <label for={id}>{`${name.toUpperCase()} (${unit})`}</label>
        <select
          id={id}
          value={axis.option}
          onChange={({ currentTarget }) => setAxis({ option: currentTarget.value, values: '' })}
        >
          <option value="">None</option>
          {!choice && axis.option !== '' && (
            <option value={axis.option} selected>
              {axis.option}
            </option>
          )}
          {topics.map(({ title, choices: options }) => (
            <optgroup key={title} label={title}>
              {options.map((option) => (
                <option key={option.name} value={option.name} selected={option.name === axis.option}>
                  {option.label}
                </option>
              ))}
            </optgroup>
          ))}
        </select>
      </div>
      {axis.option !== '' && (
        <AxisValues
          name={name}
          axis={axis}
          choice={choice ?? { name: axis.option, label: axis.option }}
          onChange={(values) => setAxis({ option: axis.option, values })}
        />
      )}
    </fieldset>
  );
}

interface ValuesProps {
  readonly name: AxisName;
  readonly axis: FormAxis;
  readonly choice: AxisChoice;
  readonly onChange: (values: string) => void;
}

function AxisValues({ name, axis, choice, onChange }: ValuesProps) {
  const id = useId();
  const set = valuesToChoose(choice, about.value, library.value);
  const label = `${name.toUpperCase()} values`;
  const { problem } = axis;
  const note = (
    <div id={`${id}-note`}>
      {problem === undefined ? (
        <Labels axis={axis} />
      ) : (
        <p class={axis.values === '' ? 'hint' : 'problem'}>{problem}</p>
      )}
    </div>
  );
  if (set) {
    const chosen = new Set(chosenValues(axis));
    return (
      <>
        <fieldset class="chips" aria-label={label} aria-describedby={`${id}-note`}>
          {set.map(([value, text]) => (
            <button
              key={value}
              type="button"
              class="chip"
              aria-pressed={chosen.has(value)}
              onClick={() =>
                onChange(
                  withToggledValue(
                    axis,
                    value,
                    set.map(([name]) => name),
                  ).values,
                )
              }
            >
              {text}
            </button>
          ))}
        </fieldset>
        {note}
      </>
    );
  }
  return (
    <div class="field">
      <label for={id} class="visually-hidden">
        {label}
      </label>
      <input
        id={id}
        type="text"
        autocomplete="off"
        autocapitalize="off"
        spellcheck={false}
        value={axis.values}
        placeholder={exampleOf(choice)}
        title={explanationOf(choice)}
        aria-invalid={problem !== undefined && axis.values !== ''}
        aria-describedby={`${id}-note ${id}-help`}
        onInput={({ currentTarget }) => onChange(currentTarget.value)}
      />
      {note}
      {axis.values === '' && (
        <p id={`${id}-help`} class="hint">
          {explanationOf(choice)}
        </p>
      )}
    </div>
  );
}

/** Most labels that are listed. */
const SHOWN = 12;

/** Preview of the values of an axis, as they are labelled on the sheet. */
function Labels({ axis: { axis } }: { readonly axis: FormAxis }) {
  if (!axis) return null;
  const labels = axis.values.map(({ label }) => label.replace(`${axis.name}: `, ''));
  const more = labels.length - SHOWN;
  return (
    <ol class="axis-labels" aria-label={`${labels.length} values`}>
      {labels.slice(0, SHOWN).map((label, i) => (
        <li key={i}>{label}</li>
      ))}
      {more > 0 && <li>{more} more</li>}
    </ol>
  );
}
