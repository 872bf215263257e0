/** Options by the labels of their fields in generation parameters. */
import { generationFields } from '../declarations/generation.js';
import { entriesOf, type Field, type Fields } from '../field.js';

export interface LabeledOption {
  /** The option that has this one (`hires`); empty at the top. */
  readonly parent: string;
  readonly name: string;
  readonly field: Field;
}

/** Labels that are written, and those that are only read. Of fields that stand for several options, the strength's alone is here. */
export const optionsByLabel: ReadonlyMap<string, LabeledOption> = new Map([
  ...entriesByLabel(generationFields, ''),
  ['Denoising strength', { parent: '', name: 'strength', field: generationFields.strength }] as const,
]);

function entriesByLabel(fields: Fields, parent: string): [label: string, option: LabeledOption][] {
  return entriesOf(fields).flatMap(([name, field]): [string, LabeledOption][] => {
    if (field.kind === 'object') return entriesByLabel(field.fields, name);
    const { label, also = [] } = field.infotext ?? {};
    return label === undefined ? [] : [label, ...also].map((one) => [one, { parent, name, field }]);
  });
}
