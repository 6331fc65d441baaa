// The options that several commands of the trainer share, each defined once, and the parsers of option values.
import { layoutNames, type TableField, type ValuesChoice } from '@ct-ensemble/data';
import type { Precision } from '@ct-ensemble/engine';
import {
  type DatasetChoice,
  deviceOption as ensembleDeviceOption,
  type Isolation,
  isolations,
  positive,
  wholeNumber,
} from '@ct-ensemble/ensemble';
import { type Command, InvalidArgumentError, Option } from 'commander';

export { engineOption, positive, scanDeadlineOption, valuesOption, wholeNumber } from '@ct-ensemble/ensemble';

/** Values of the options that choose the networks of the preparation. */
export interface PreparationNetworkOptions {
  filter?: string;
  masks?: string;
}

/** Values of the options that say how a data set is read and its volumes are prepared; a command has some of them. */
export interface PreparationOptions extends PreparationNetworkOptions, DatasetOptions {
  scanDeadline?: number;
  /** What the numbers in the files are; undefined: decided for each scan. */
  values?: ValuesChoice;
  /** Scans that two splits share are reported, and are no error. */
  allowLeaks?: boolean;
}

/** Values of the options that say how the data set is laid out. */
export interface DatasetOptions {
  layout?: string;
  labels?: string;
  scanColumn?: string;
  labelColumn?: string;
  patientColumn?: string;
  splitColumn?: string;
  groupColumn?: string;
}

/** Required, unless `optional` describes what is used instead. */
export function dataOption(what: string, optional?: string): Option {
  const option = new Option('--data <dir>', optional === undefined ? what : `${what} (default: ${optional})`);
  return option.makeOptionMandatory(optional === undefined);
}

/**
 * Adds the options that say how the data set is laid out, and where its table of scans is. `usual` says what both are if they
 * are left out; without it, the layout is the recipe's.
 */
export function addDatasetOptions(command: Command, usual?: string): Command {
  const otherwise = usual === undefined ? '' : ` (default: ${usual})`;
  const column = (field: TableField, names: string) =>
    new Option(`--${field}-column <name>`, `column of the table of scans (default: ${names})`);
  const options = [
    new Option(
      '--layout <name>',
      `how the data set is laid out (default: ${usual ?? 'table with --labels, else as the recipe says'})`,
    ).choices(layoutNames),
    new Option(
      '--labels <file>',
      `table of scans with their classes: CSV, TSV or XLSX, a row for each scan${otherwise}`,
    ),
    column('scan', 'scan or path'),
    column('label', 'label, class or category'),
    column('patient', 'patient or patient_id'),
    column('split', 'split'),
    column('group', 'group, site or centre'),
  ];
  return options.reduce((to, option) => to.addOption(option), command);
}

/** The values of the data set's options as the library takes them. */
function datasetChoice(options: DatasetOptions): DatasetChoice {
  const { layout, labels, scanColumn, labelColumn, patientColumn, splitColumn, groupColumn } = options;
  const columns = {
    ...(scanColumn !== undefined && { scan: scanColumn }),
    ...(labelColumn !== undefined && { label: labelColumn }),
    ...(patientColumn !== undefined && { patient: patientColumn }),
    ...(splitColumn !== undefined && { split: splitColumn }),
    ...(groupColumn !== undefined && { group: groupColumn }),
  };
  return {
    ...(layout !== undefined && { layout }),
    ...(labels !== undefined && { labels }),
    columns,
  };
}

/** The values of the preparation's options as the library takes them. */
export function preparationChoice(options: PreparationOptions) {
  const { filter, masks, scanDeadline, values, allowLeaks = false } = options;
  return {
    ...datasetChoice(options),
    ...networkChoice({ filter, masks }),
    ...(scanDeadline !== undefined && { scanDeadline }),
    ...(values !== undefined && { values }),
    allowLeaks,
  };
}

/** The values of the options that choose networks as the library takes them. */
export function networkChoice({
  filter,
  masks,
}: {
  [Name in keyof PreparationNetworkOptions]?: string | undefined;
}): PreparationNetworkOptions {
  return { ...(filter !== undefined && { filter }), ...(masks !== undefined && { masks }) };
}

export function recipeOption(recipe: string): Option {
  return new Option(
    '--recipe <name|file>',
    'name of a built-in recipe, or path of a recipe file (YAML)',
  ).default(recipe);
}

export function filterOption(): Option {
  return new Option(
    '--filter <area|weights>',
    'how slices that show lung are found: area (by the area of the lung) or the weights file of a trained network',
  ).default('area');
}

export function masksOption(): Option {
  return new Option(
    '--masks <threshold|weights>',
    'how the lung is found in a slice: threshold or the weights file of a trained network',
  ).default('threshold');
}

/** The folder of the prepared volumes; `flag` is the option's name in the command. */
export function volumesOption(flag: '--volumes' | '--out'): Option {
  return new Option(
    `${flag} <dir>`,
    "folder of the prepared volumes (default: volumes in the user's cache folder)",
  );
}

export function allowLeaksOption(): Option {
  return new Option(
    '--allow-leaks',
    'continue if two splits share a patient, equal files or nearly equal scans, and only report it (default: this is an error)',
  );
}

export function devicesOption(): Option {
  return new Option(
    '--devices <list>',
    'devices separated by commas, one for each member that trains at the same time: gpu:0 (the first GPU; gpu:0,gpu:0: two members on it, each with half of its memory), cpu:2 (two CPU threads); or auto',
  ).default('auto');
}

export function isolationOption(): Option {
  return new Option(
    '--isolation <kind>',
    'what a member runs in: a thread of this process, or a process of its own, which costs more memory but survives the crash of another member',
  )
    .choices(isolations)
    .default('thread' satisfies Isolation);
}

export function checkpointMinutesOption(): Option {
  return new Option(
    '--checkpoint-minutes <minutes>',
    'time between checkpoints inside an epoch; 0: only at the end of each epoch',
  )
    .argParser((text) => (Number(text) === 0 && text.trim() !== '' ? 0 : positive(text)))
    .default(5);
}

/** Of a command that trains one member. */
export function memberDevicesOption(): Option {
  return new Option(
    '--devices <device>',
    'device of the member: gpu (the first GPU that the job may use), gpu:1, cpu:2 (two CPU threads) or auto',
  ).default('auto');
}

export const deviceOption = () =>
  ensembleDeviceOption('device to train on: gpu:0 (the first GPU), cpu:2 (two CPU threads); or auto');

/** Values of the options that say how the engine computes; each takes the place of the recipe's. */
export interface NumericsOptions {
  precision?: Precision;
  tf32?: boolean;
  deterministic?: boolean;
  memoryLimit?: string;
}

export function numericsOptions(): Option[] {
  return [
    new Option(
      '--precision <precision>',
      'precision of convolutions and matrix products: 32 bits, 16 bits where the device has them, or float16',
    ).choices(['float32', 'mixed', 'mixed-float16'] satisfies Precision[]),
    new Option('--tf32', 'let GPUs compute float32 with TensorFloat-32: faster, less exact (default: off)'),
    new Option('--no-tf32', 'do not, whatever the recipe says'),
    new Option(
      '--deterministic',
      'equal bytes in every run on a GPU, somewhat slower; CPUs always give them (default: off)',
    ),
    new Option('--memory-limit <size>', "GPU memory for each member's tensors, such as 8GiB or 500MiB"),
  ];
}

export function fromScratchOption(what: string): Option {
  return new Option('--from-scratch', what);
}

/** Whether there is a live page, and its port. */
export function dashboardOption(): Option {
  return new Option(
    '--dashboard [port]',
    'show the run on a live page of this machine, whose address is printed (default: off; without a port any free one)',
  ).argParser(port);
}

/** The port of the live page. */
export function portOption(): Option {
  return new Option('--port <number>', 'port of the page on this machine; 0: any free one')
    .argParser(port)
    .default(0);
}

/** A port of TCP; 0: any free one. */
export function port(text: string): number {
  const value = wholeNumber(text);
  if (value > 65535) throw new InvalidArgumentError('It must be at most 65535.');
  return value;
}

/** A whole number above zero. */
export function count(text: string): number {
  const value = wholeNumber(text);
  if (value === 0) throw new InvalidArgumentError('It must be above zero.');
  return value;
}

/** A number between 0 and 1, both excluded. */
export function share(text: string): number {
  const value = positive(text);
  if (value >= 1) throw new InvalidArgumentError('It must be between 0 and 1.');
  return value;
}

/** Names separated by commas. */
export function names(text: string): string[] {
  return text.split(',').map((name) => name.trim());
}

/** The path of a .safetensors file. */
export function weightsFile(text: string): string {
  if (!text.endsWith('.safetensors')) throw new InvalidArgumentError('Its ending must be .safetensors.');
  return text;
}
