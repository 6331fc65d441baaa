#!/usr/bin/env node
// The trainer's command line.
import { messageOf, UserError } from '@ct-ensemble/core';
import { EngineError } from '@ct-ensemble/engine';
import { Command, InvalidArgumentError, Option } from 'commander';
import { allMembers, type AllMembersOptions } from './all-members.ts';
import { sliceArchitectures, lungSegmenter, sliceFilter, type SliceTask } from '@ct-ensemble/training';
import { preview, type PreviewOptions } from './preview.ts';
import { prepare, type PrepareOptions } from './prepare.ts';
import { filter, type FilterOptions, segmenter, type SegmenterOptions } from './slice-networks.ts';

const program = new Command('trainer').description('Trains the members of an ensemble.');
const filterOption = [
  '--filter <area|weights>',
  'what finds slices with lung: the area of the lung, or a trained network',
  'area',
] as const;
const masksOption = [
  '--masks <threshold|weights>',
  'what finds the lung: a threshold, or a trained network',
  'threshold',
] as const;
const allowLeaks = [
  '--allow-leaks',
  'go on where a patient, equal files or near-equal scans are in two splits (default: an error)',
] as const;

program
  .command('all-members')
  .description('Trains every member of a recipe; started again, it continues.')
  .option('--data <dir>', 'scans in the layout of COV19-CT-DB (default: phantom scans made on the spot)')
  .option('--recipe <name|file>', 'built-in recipe or YAML file', 'quick')
  .option('--from-scratch', 'no member starts from published weights, whatever the recipe says')
  .option('--run <dir>', 'folder of the run (default: runs/<recipe name>)')
  .option('--devices <list>', "'auto', or a list such as gpu:0,gpu:1 or cpu:2 (two threads)", 'auto')
  .addOption(
    new Option('--engine <engine>', 'what computes').choices(['tensorflow', 'cpu']).default('tensorflow'),
  )
  .option('--volumes <dir>', 'folder of the prepared volumes (default: in the cache folder of this user)')
  .option(...filterOption)
  .option(...masksOption)
  .option(...allowLeaks)
  .action(async (options: AllMembersOptions) => {
    process.exitCode = await allMembers(options);
  });

program
  .command('prepare')
  .description(
    'Reads a data set and prepares the volumes of a recipe; what is prepared is not touched again.',
  )
  .requiredOption('--data <dir>', 'scans in the layout of COV19-CT-DB, or any folder of scans')
  .option('--recipe <name|file>', 'built-in recipe or YAML file', 'detection-paper')
  .option(...filterOption)
  .option(...masksOption)
  .option('--out <dir>', 'folder of the prepared volumes (default: in the cache folder of this user)')
  .option(...allowLeaks)
  .option('--json', 'print the report as JSON: scans, findings, failures')
  .action(async (options: PrepareOptions) => {
    process.exitCode = await prepare(options);
  });

/** The options of the two networks that look at slices. */
function sliceNetwork(
  command: Command,
  task: SliceTask,
  defaults: { architecture: string; epochs: number; batch: number },
): Command {
  return command
    .requiredOption('--out <file>', 'the weights, a .safetensors file', weightsFile)
    .addOption(
      new Option('--architecture <name>', 'network')
        .choices(sliceArchitectures(task))
        .default(defaults.architecture),
    )
    .option('--size <px>', 'height and width of the slices that the network sees', count, 224)
    .option('--epochs <n>', 'times that every slice is learned from', count, defaults.epochs)
    .option('--batch <n>', 'slices at once', count, defaults.batch)
    .option('--learning-rate <rate>', "Adam's (default: 0.001; 0.0001 from published weights)", positive)
    .option('--seed <n>', 'of first values, hold-out, order and augmentation', wholeNumber, 0)
    .option('--hold-out <share>', 'of patients, drawn by the seed, for validation', share, 0.2)
    .option('--val <names>', 'hold these patients out instead, separated by commas', names)
    .option('--device <device>', "'auto', gpu:0, or cpu:2 (two threads)", 'auto')
    .addOption(
      new Option('--engine <engine>', 'what computes').choices(['tensorflow', 'cpu']).default('tensorflow'),
    )
    .option('--json', 'print nothing but a report as JSON: slices, scores of each epoch');
}

sliceNetwork(
  program
    .command('filter')
    .description(
      'Trains the network that tells slices with lung from those without; started again, it continues.',
    )
    .requiredOption('--data <dir>', 'slices that --labels names, or images/ and masks/')
    .option('--labels <file>', 'table of slices and classes, lung or non-lung (default: lung masks tell it)')
    .option(
      '--file-columns <names>',
      'columns whose cells, joined by /, name the file of a slice (default: file, or scan,slice)',
      names,
    )
    .option('--class-column <name>', 'column of the class (default: class)')
    .option('--from-scratch', 'do not start from published weights'),
  sliceFilter,
  { architecture: 'resnext50_32x4d', epochs: 30, batch: 16 },
).action(async (options: FilterOptions) => {
  process.exitCode = await filter(options);
});

sliceNetwork(
  program
    .command('segmenter')
    .description("Trains the network that marks the lungs' pixels; started again, it continues.")
    .requiredOption('--data <dir>', 'images/ and masks/ of slices or NIfTI volumes'),
  lungSegmenter,
  { architecture: 'att_unet', epochs: 60, batch: 8 },
).action(async (options: SegmenterOptions) => {
  process.exitCode = await segmenter(options);
});

function wholeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value) || value < 0 || value > 0xffffffff)
    throw new InvalidArgumentError('It must be a whole number.');
  return value;
}

function count(text: string): number {
  const value = wholeNumber(text);
  if (value === 0) throw new InvalidArgumentError('It must be above zero.');
  return value;
}

function positive(text: string): number {
  const value = Number(text);
  if (!(value > 0 && Number.isFinite(value)))
    throw new InvalidArgumentError('It must be a number above zero.');
  return value;
}

function share(text: string): number {
  const value = positive(text);
  if (value >= 1) throw new InvalidArgumentError('It must be between 0 and 1.');
  return value;
}

function names(text: string): string[] {
  return text.split(',').map((name) => name.trim());
}

function weightsFile(text: string): string {
  if (!text.endsWith('.safetensors')) throw new InvalidArgumentError('Its ending must be .safetensors.');
  return text;
}
program
  .command('preview')
  .description('Shows a data set: a contact sheet of every scan, and one page over all of them.')
  .requiredOption('--data <dir>', 'scans in the layout of COV19-CT-DB, or any folder of scans')
  .requiredOption('--out <dir>', 'folder of the page, index.html, and the contact sheets')
  .option('--recipe <name|file>', 'built-in recipe or YAML file', 'detection-paper')
  .option(...filterOption)
  .option(...masksOption)
  .option('--volumes <dir>', 'folder of the prepared volumes (default: in the cache folder of this user)')
  .option('--scans <n|keys>', 'contact sheets of so many scans, or of these keys (default: of all)')
  .action(async (options: PreviewOptions) => {
    process.exitCode = await preview(options);
  });

try {
  await program.parseAsync();
} catch (error) {
  const known = error instanceof UserError || error instanceof EngineError;
  console.error(known ? `error: ${messageOf(error)}` : error);
  process.exitCode = 1;
}
