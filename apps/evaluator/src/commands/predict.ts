// The command predict: asks an ensemble file about scans.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { print, printError, stopOnSignal, writeFileAtomic } from '@ct-ensemble/core';
import type { ValuesChoice } from '@ct-ensemble/data';
import { type EngineKind, installTensorFlow } from '@ct-ensemble/engine';
import {
  deviceOption,
  engineOption,
  type Ensemble,
  openEnsemble,
  positive,
  type PredictOptions,
  scanDeadlineOption,
  type ScanEntry,
  valuesOption,
} from '@ct-ensemble/ensemble';
import { Command, Option } from 'commander';
import { type AnswerFile, openAnswerFile } from '../predict/answer-file.ts';
import { csvFormat, jsonFormat } from '../predict/formats.ts';
import { answerPage, pageName } from '../predict/page.ts';
import { scansAt } from '../predict/scans.ts';
import { answerTable } from '../predict/table.ts';

interface Options {
  model: string;
  csv?: string;
  jsonl?: string;
  json?: boolean;
  pages?: string;
  device: string;
  engine: EngineKind;
  batch: 'one' | 'run';
  alpha: number;
  scanDeadline: number;
  values?: ValuesChoice;
}

export function predictCommand(): Command {
  return new Command('predict')
    .description(
      'Asks an ensemble file about scans: folders of JPEG or PNG slices or DICOM files, volume files (NIfTI, MetaImage, NRRD), folders of many scans, or tables (CSV, TSV, XLSX) with a column scan. The exit code is 1 if a scan could not be answered.',
    )
    .argument('<scans...>', 'paths of scans')
    .requiredOption('--model <file>', 'ensemble file, written by evaluator:pack')
    .option(
      '--csv <file>',
      'write a row for each scan into this file; a file that exists is continued: scans that it has answers for are not computed again',
    )
    .option('--jsonl <file>', 'likewise, a JSON object for each scan, one a line')
    .option('--json', 'print JSON, one object a line, instead of a table')
    .option('--pages <dir>', 'write an HTML page for each scan into this folder')
    .addOption(deviceOption())
    .addOption(engineOption())
    .addOption(
      new Option(
        '--batch <how>',
        'one: each scan on its own, so that its answer depends on no other scan; run: in batches as the run predicted its test scans, which gives its bytes for its test folder',
      )
        .choices(['one', 'run'])
        .default('one'),
    )
    .addOption(
      new Option(
        '--alpha <share>',
        'share of the sets of classes that may miss the true class: 0.05, 0.1 or 0.2',
      )
        .argParser(positive)
        .default(0.1),
    )
    .addOption(valuesOption('as in the training, which mostly means decided for each scan from its numbers'))
    .addOption(scanDeadlineOption())
    .action(async (scans: string[], options: Options) => {
      process.exitCode = await predict(scans, options);
    });
}

/** Runs the command. Returns the exit code: 0 if all scans are answered, 1 if some could not be, 130 if it was stopped. */
async function predict(paths: readonly string[], options: Options): Promise<number> {
  const { device, engine, scanDeadline, values } = options;
  if (engine === 'tensorflow') await installTensorFlow({ log: printError });
  await using ensemble = await openEnsemble(options.model, {
    device,
    engine,
    deadline: scanDeadline,
    ...(values !== undefined && { values }),
  });
  const { id: model, classes, members } = ensemble;
  const files: AnswerFile[] = [];
  try {
    if (options.csv !== undefined)
      files.push(await openAnswerFile(options.csv, { format: csvFormat(classes, members), model }));
    if (options.jsonl !== undefined)
      files.push(await openAnswerFile(options.jsonl, { format: jsonFormat(classes, members), model }));
    return await answer(paths, options, { ensemble, files });
  } finally {
    for (const file of files) await file.close();
  }
}

async function answer(
  paths: readonly string[],
  options: Options,
  { ensemble, files }: { ensemble: Ensemble; files: readonly AnswerFile[] },
): Promise<number> {
  const { classes, members } = ensemble;
  for (const { notes } of files) for (const note of notes) printError(note);
  const scans = await scansAt(paths);
  const pageOf = (scan: string) =>
    options.pages === undefined ? undefined : join(options.pages, pageName(scan));
  const left = await unanswered(scans, { ensemble, files, pageOf });
  if (left.length < scans.length)
    printError(`${scans.length - left.length} of ${scans.length} scans are answered already`);
  const stopping = stopOnSignal({ notice: 'Stopping after the present scan; once more stops at once.' });
  const shown = options.json ? jsonFormat(classes, members) : undefined;
  const table = answerTable(left, classes);
  if (shown === undefined && left.length > 0) print(table.header);
  let [done, failed] = [0, 0];
  const predictOptions: PredictOptions = {
    batchSize: options.batch === 'run' ? 'run' : 1,
    alpha: options.alpha,
    volumes: options.pages !== undefined,
    signal: AbortSignal.any([stopping.signal, ...files.map(({ lost }) => lost)]),
  };
  try {
    for await (const answer of ensemble.predict(left, predictOptions)) {
      done++;
      if (answer.failure !== null) failed++;
      const page = pageOf(answer.scan);
      if (page !== undefined) await writeFileAtomic(page, await answerPage(answer, ensemble));
      for (const file of files) await file.add(answer);
      if (shown === undefined) print(table.rowOf(answer, done));
      else print(shown.lineOf(answer));
      if (shown !== undefined) progress(done, left.length);
    }
  } catch (error) {
    for (const { lost } of files) lost.throwIfAborted();
    if (!stopping.signal.aborted) throw error;
    printError(`stopped after ${done} of ${left.length} scans; ${next(files)}`);
    return 130;
  } finally {
    stopping.release();
  }
  for (const file of files) await file.finish(scans.map(({ key }) => key));
  if (failed > 0) printError(`${failed} of ${left.length} scans could not be answered`);
  return failed > 0 ? 1 : 0;
}

const next = (files: readonly AnswerFile[]) =>
  files.length > 0 ? 'the same command continues' : 'with --csv or --jsonl a later start would continue';

/** Prints every tenth of the scans on standard error. */
function progress(done: number, total: number) {
  const tenth = (count: number) => Math.floor((10 * count) / total);
  if (tenth(done) > tenth(done - 1)) printError(`${done}/${total} scans`);
}

/** The scans that at least one of the files or pages has no answer for. */
async function unanswered(
  scans: readonly ScanEntry[],
  {
    ensemble,
    files,
    pageOf,
  }: { ensemble: Ensemble; files: readonly AnswerFile[]; pageOf: (scan: string) => string | undefined },
): Promise<ScanEntry[]> {
  const left: ScanEntry[] = [];
  for (const scan of scans) {
    const page = pageOf(scan.key);
    const isKnown = files.length > 0 && files.every((file) => file.knows(scan.key));
    if (!isKnown || (page !== undefined && !existsSync(page))) {
      left.push(scan);
      continue;
    }
    const content = await ensemble.contentOf(scan);
    if (!files.every((file) => file.has(scan.key, content))) left.push(scan);
  }
  return left;
}
