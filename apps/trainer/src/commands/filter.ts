// The command filter: trains the network that finds slices with lung.
import { existsSync } from 'node:fs';
import { readLabelledSlices } from '@ct-ensemble/data';
import { requirePublished } from '@ct-ensemble/ensemble';
import { pretrainedFile } from '@ct-ensemble/models';
import { lastCheckpoint, sliceFilter, trainingFolder } from '@ct-ensemble/training';
import { Command } from 'commander';
import { dataOption, fromScratchOption, names } from '../options.ts';
import { addSliceNetworkOptions, runSliceNetwork, type SliceNetworkOptions } from '../slice-network.ts';

interface FilterOptions extends SliceNetworkOptions {
  labels?: string;
  fileColumns?: string[];
  classColumn?: string;
  fromScratch?: boolean;
}

export function filterCommand(): Command {
  const command = new Command('filter')
    .description(
      'Trains the network that finds slices with lung. Started again, it continues where it stopped.',
    )
    .addOption(
      dataOption(
        'folder of the slices that the table names; without --labels, a folder with the subfolders images and masks',
      ),
    )
    .option(
      '--labels <file>',
      'CSV table of slices and their classes, lung or non-lung (default: the lung masks give the classes)',
    )
    .option(
      '--file-columns <names>',
      'columns of the table whose cells, joined by /, are the path of a slice, separated by commas (default: file, or scan,slice)',
      names,
    )
    .option('--class-column <name>', 'column of the table that holds the class (default: class)')
    .addOption(fromScratchOption('start from random weights instead of published weights'));
  return addSliceNetworkOptions(command, sliceFilter, {
    architecture: 'resnext50_32x4d',
    epochs: 30,
    batch: 16,
  }).action(async (options: FilterOptions) => {
    process.exitCode = await filter(options);
  });
}

/** Runs the command. Returns the exit code: 0 if it is done, 130 if it was stopped. */
async function filter(options: FilterOptions): Promise<number> {
  const { data, size: edge, labels, fileColumns, classColumn, architecture, fromScratch } = options;
  const pretrained = fromScratch ? undefined : pretrainedFile(architecture);
  const begun = existsSync(lastCheckpoint(trainingFolder(options.out)));
  if (pretrained !== undefined && !begun) requirePublished(architecture);
  const read = () =>
    readLabelledSlices({
      data,
      edge,
      ...(labels !== undefined && { labels }),
      ...(fileColumns !== undefined && { fileColumns }),
      ...(classColumn !== undefined && { classColumn }),
    });
  return runSliceNetwork(sliceFilter, { ...options, ...(pretrained !== undefined && { pretrained }) }, read);
}
