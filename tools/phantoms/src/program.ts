// The command line program of phantoms:make.
import { UserError } from '@ct-ensemble/core';
import { Command, Option } from 'commander';

import { FORMATS, type Format } from './formats.ts';
import { makePhantoms } from './make.ts';
import { CLASSES, countsOf, FINDINGS, findingsOf, LAYOUTS, SCANS_PER_CLASS, type Layout } from './plan.ts';

interface Arguments {
  out: string;
  seed: string;
  classes: string;
  scans?: string;
  size: string;
  format: Format;
  layout: Layout;
  split: boolean;
}

const HELP = `
Classes: with the default classes covid and non-covid, Covid scans show ground-glass opacities of four grades and
the others do not. Any other list of 2 to ${FINDINGS.length} names takes these findings in order:
  ${FINDINGS.join(', ')}.

Layouts:
  cov19-ct-db  train|validation/<class>/ct_scan_N, test/test_ct_scan_N, masks, test_truth.csv, patients.csv
  folders      train|val|test/<class>/scan_NNNN, patients.csv
  table        <patient>/<series>, and scans.csv with the columns scan, label, patient, split, group

Formats:
  jpeg   a folder of 8-bit slices K.jpg for each scan; grey value v = (HU + 1150) / 1500 * 255
  dicom  a folder of uncompressed DICOM files IM0001, IM0002, ... for each scan
  nifti  one file .nii.gz for each scan
`;

/** The program, not yet run: `parseAsync` runs it. */
export function phantomsProgram(): Command {
  return new Command('phantoms:make')
    .description('Makes chest CT-like phantom scans from a seed.')
    .requiredOption(
      '--out <dir>',
      'folder of the data set: new, empty, or made by this tool (made anew if the options differ)',
    )
    .option('--seed <n>', 'seed, 0 to 4294967295', '1')
    .option('--classes <names>', 'names of the classes, separated by commas', CLASSES.join(','))
    .option(
      '--scans <n>',
      `scans in all, at least 3 per class (default: ${SCANS_PER_CLASS} per class, of which 12 train, 5 val, 3 test)`,
    )
    .option('--size <px>', 'width and height of a slice in pixels, 32 to 1024', '128')
    .addOption(new Option('--format <format>', 'file format of the scans').choices(FORMATS).default('jpeg'))
    .addOption(
      new Option('--layout <layout>', 'arrangement of the folders').choices(LAYOUTS).default('cov19-ct-db'),
    )
    .option('--no-split', 'with --layout table: leave the column split out of scans.csv')
    .addHelpText('after', HELP)
    .action(make);
}

async function make(options: Arguments) {
  const { out, format, layout, split } = options;
  const classes = options.classes.split(',').map((name) => name.trim());
  findingsOf(classes);
  const least = 3 * classes.length;
  const scans =
    options.scans === undefined ? SCANS_PER_CLASS * classes.length : number('scans', options.scans);
  if (scans < least)
    throw new UserError(`--scans is ${scans}`, { remedy: `give an integer of at least ${least}` });
  const started = performance.now();
  const result = await makePhantoms({
    folder: out,
    seed: number('seed', options.seed),
    classes,
    counts: countsOf(scans, classes),
    size: number('size', options.size),
    format,
    layout,
    split,
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const what = `${result.scans} phantom scans, ${result.slices} slices`;
  console.log(result.made ? `${out}: made ${what} in ${seconds} s` : `${out}: ${what}, made before`);
}

function number(field: string, text: string) {
  if (!/^\d+$/.test(text)) throw new UserError(`--${field} is ${text}`, { remedy: 'give a whole number' });
  return Number(text);
}
