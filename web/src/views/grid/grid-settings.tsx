/** Section of the form for grids: the axes, their values, and the number of images. */
import { axisNames } from '../../../../lib/pipelines/grid/axes.js';
import { type AxisName, countOf, formAxes } from '../../logic/grid/form-axes.js';
import { model, set, settings } from '../../state/form.js';
import { about } from '../../state/session.js';
import { Fold, Toggle } from '../../ui/controls.js';
import { AxisFields } from './axis-fields.js';

const UNITS: Readonly<Record<AxisName, string>> = { x: 'columns', y: 'rows', z: 'sheets' };

export function GridSettings() {
  const { grid } = settings.value;
  const axes = formAxes(settings.value, { about: about.value, model: model.value });
  const { text, problem } = countOf(axes, about.value);
  const isBroken = axisNames.some((name) => axes[name].problem !== undefined);
  return (
    <Fold title="X/Y/Z grid" summary={grid ? text : 'off'}>
      <Toggle label="Grid of option values" on={grid} onChange={(on) => set({ grid: on })} />
      {grid && (
        <>
          {axisNames.map((name) => (
            <AxisFields key={name} name={name} unit={UNITS[name]} axis={axes[name]} />
          ))}
          <p class="grid-count" role="status">
            {isBroken ? '' : text}
          </p>
          {problem !== undefined && !isBroken && (
            <p class="problem" role="alert">
              {problem}
            </p>
          )}
        </>
      )}
    </Fold>
  );
}
