// The command report: one HTML page about a run, and its tables as text, CSV and JSON.
import { join } from 'node:path';
import { print, printError } from '@ct-ensemble/core';
import { openVolumeStore } from '@ct-ensemble/data';
import { cacheFolder } from '@ct-ensemble/engine';
import { explanationsFolder } from '@ct-ensemble/ensemble';
import { Command } from 'commander';
import { readRunInput } from '../report/input/read-run.ts';
import { reportOfRun } from '../report/model/report-of-run.ts';
import { reportExplanations } from '../report/slices/explanation-pictures.ts';
import { slicePictures } from '../report/slices/slice-pictures.ts';
import { writeReport } from '../report/write-report.ts';

interface ReportOptions {
  run: string;
  out?: string;
  volumes?: string;
  explanations?: string;
}

export function reportCommand(): Command {
  return new Command('report')
    .description(
      'Writes a report about a run: scores with intervals, comparisons, combinations, doubt, errors; one HTML page, and tables as text, CSV and JSON.',
    )
    .requiredOption('--run <dir>', 'folder of the run')
    .option('--out <dir>', 'folder for the report (default: report in the folder of the run)')
    .option(
      '--volumes <dir>',
      'store of prepared volumes, for the pictures of slices (default: volumes in the cache folder)',
    )
    .option(
      '--explanations <dir>',
      'folder that evaluator:explain has written to (default: explanations in the folder of the run, if it is there)',
    )
    .action(async (options: ReportOptions) => {
      process.exitCode = await report(options);
    });
}

/** Runs the command. Returns the exit code: 1 if a member is done but cannot be used, else 0. */
async function report({ run, out, volumes, explanations: given }: ReportOptions): Promise<number> {
  const read = await readRunInput(run);
  const model = reportOfRun(read.input);
  const shown = model.splits.flatMap(({ pictures }) =>
    pictures.flatMap(({ scans }) => scans.map(({ key }) => key)),
  );
  const store = volumes ?? join(cacheFolder(), 'volumes');
  const { pictures, missing } = await slicePictures(shown, { ...read, store: openVolumeStore(store) });
  const { explanations, problems } = await reportExplanations(given ?? explanationsFolder(run), model);
  const files = await writeReport(out ?? join(run, 'report'), model, { pictures, explanations });
  for (const sentence of model.headline) print(sentence);
  print(`\n${files[0]!}`);
  print(`${files.length - 1} more files with the tables lie beside it`);
  if (missing.length > 0)
    printError(
      `warning: ${missing.length} scans are shown without slices, because their volumes are not in ${store}`,
    );
  for (const problem of problems) printError(`warning: ${problem}`);
  const unusable = model.members.filter(({ state }) => state === 'unusable');
  for (const { problem } of unusable) printError(`error: ${problem}`);
  return unusable.length > 0 ? 1 : 0;
}
