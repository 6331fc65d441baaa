#!/usr/bin/env node
// The trainer's command line.
import { messageOf, UserError } from '@ct-ensemble/core';
import { EngineError } from '@ct-ensemble/engine';
import { Command, Option } from 'commander';
import { allMembers, type AllMembersOptions } from './all-members.ts';
import { preview, type PreviewOptions } from './preview.ts';
import { prepare, type PrepareOptions } from './prepare.ts';

const program = new Command('trainer').description('Trains the members of an ensemble.');

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
  .option(
    '--filter <area|weights>',
    'what finds slices with lung: the area of the lung, or a trained network',
    'area',
  )
  .option(
    '--masks <threshold|weights>',
    'what finds the lung: a threshold, or a trained network',
    'threshold',
  )
  .action(async (options: AllMembersOptions) => {
    process.exitCode = await allMembers(options);
  });

program
  .command('prepare')
  .description(
    'Reads a data set and prepares the volumes of a recipe; what is prepared is not touched again.',
  )
  .requiredOption('--data <dir>', 'scans in the layout of COV19-CT-DB')
  .option('--recipe <name|file>', 'built-in recipe or YAML file', 'detection-paper')
  .option(
    '--filter <area|weights>',
    'what finds slices with lung: the area of the lung, or a trained network',
    'area',
  )
  .option(
    '--masks <threshold|weights>',
    'what finds the lung: a threshold, or a trained network',
    'threshold',
  )
  .option('--out <dir>', 'folder of the prepared volumes (default: in the cache folder of this user)')
  .option('--json', 'print the report as JSON: scans, findings, failures')
  .action(async (options: PrepareOptions) => {
    process.exitCode = await prepare(options);
  });

program
  .command('preview')
  .description('Shows a data set: a contact sheet of every scan, and one page over all of them.')
  .requiredOption('--data <dir>', 'scans in the layout of COV19-CT-DB')
  .requiredOption('--out <dir>', 'folder of the page, index.html, and the contact sheets')
  .option('--recipe <name|file>', 'built-in recipe or YAML file', 'detection-paper')
  .option(
    '--filter <area|weights>',
    'what finds slices with lung: the area of the lung, or a trained network',
    'area',
  )
  .option(
    '--masks <threshold|weights>',
    'what finds the lung: a threshold, or a trained network',
    'threshold',
  )
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
