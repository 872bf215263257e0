/** Lookup of options by the labels of their fields in generation parameters. */
import { generationFields } from '../declarations/generation.js';
import { entriesOf, type Field, type Fields } from '../field.js';

export interface LabeledOption {
  /** Name of the containing option (`hires`); empty at the top level. */
  readonly parent: string;
  readonly name: string;
  readonly field: Field;
}

/**
 * Options by all labels that are written or accepted when reading. Fields of several options are handled elsewhere,
 * except the strength.
 */
export const optionsByLabel: ReadonlyMap<string, LabeledOption> = new Map([
  ...entriesByLabel(generationFields, ''),
  ['Denoising strength', { parent: '', name: 'strength', field: generationFields.strength }] as const,
]);

function entriesByLabel(fields: Fields, parent: string): [label: string, option: LabeledOption][] {
  return entriesOf(fields).flatMap(([name, field]): [string, LabeledOption][] => {
    if (field.kind === 'object') return entriesByLabel(field.fields, name);
    const { label, also = [] } = field.infotext ?? {};
    return label === undefined ? [] : [label, ...also].map((key) => [key, { parent, name, field }]);
  });
}
