// The command explain: pictures and scores of the slices that speak for a class, for scans of a run.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { print, printError, UserError, writeFileAtomic } from '@ct-ensemble/core';
import { cacheFolder, type EngineKind, installTensorFlow } from '@ct-ensemble/engine';
import {
  drawScanExplanation,
  engineOption,
  type ExplainedScan,
  explainFile,
  explainRun,
  explanationsFolder,
  readPlan,
  safeFileNames,
  type SliceScore,
  type UnexplainedScan,
  wholeFrom,
  writeExplanation,
} from '@ct-ensemble/ensemble';
import { CAM_METHODS, type CamMethod } from '@ct-ensemble/models';
import { Command, Option } from 'commander';
import { scansAt } from '../predict/scans.ts';

interface ExplainOptions {
  run?: string;
  model?: string;
  out?: string;
  scans?: string[];
  members?: string[];
  method: CamMethod;
  class?: string;
  slices: number;
  byMember?: boolean;
  volumes?: string;
  engine: EngineKind;
}

/** Slices that are named on the terminal for each scan. */
const PRINTED = 3;

export function explainCommand(): Command {
  return new Command('explain')
    .description(
      'Shows for scans of a run, or for new scans and an ensemble file, which slices speak for the predicted class, and where: pictures with maps laid over the slices, and the scores of all slices as JSON.',
    )
    .argument('[scans...]', 'with --model: paths of scans, as evaluator:predict takes them')
    .option('--run <dir>', 'folder of the run')
    .addOption(
      new Option('--model <file>', 'ensemble file, in the place of a run').conflicts([
        'run',
        'scans',
        'volumes',
      ]),
    )
    .option(
      '--out <dir>',
      'folder of the pictures and JSON files (default: with --run explanations in its folder, where evaluator:report finds them)',
    )
    .option(
      '--scans <key...>',
      'with --run: keys or names of scans (default: the first four test scans, or validation scans if there are none)',
    )
    .option(
      '--members <name...>',
      'members that answer (default: all of the ensemble file; of a run those that were not trained on the scan)',
    )
    .addOption(
      new Option('--method <method>', 'how the map of the last features is computed')
        .choices(CAM_METHODS)
        .default('grad-cam' satisfies CamMethod),
    )
    .option('--class <name>', 'class that is explained (default: the one that the members predict)')
    .option('--slices <n>', 'number of slices in a picture', wholeFrom(1, 16), 6)
    .option(
      '--volumes <dir>',
      "with --run: folder of the prepared volumes (default: volumes in the user's cache folder)",
    )
    .option('--by-member', 'draw a picture for each member too (the JSON always has the scores of each)')
    .addOption(engineOption('library that computes'))
    .action(async (scans: string[], options: ExplainOptions) => {
      process.exitCode = await explain(scans, options);
    });
}

/** Runs the command. Returns the exit code: 1 if a scan could not be prepared. */
async function explain(paths: readonly string[], options: ExplainOptions): Promise<number> {
  const { slices: most, byMember: each } = options;
  const out = outputFolder(options);
  if (options.run !== undefined) await readPlan(options.run); // before a folder is made
  const explained = await explainedBy(paths, options);
  await mkdir(out, { recursive: true });
  const taken: string[] = [];
  const told = new Set<string>();
  let exitCode = 0;
  for await (const scan of explained) {
    if ('failure' in scan) {
      printError(`${scan.scan}: failed: ${scan.failure}`);
      exitCode = 1;
      continue;
    }
    const { explanation, byMember, findings } = scan;
    taken.push(explanation.scan.replaceAll('/', '_'));
    const file = join(out, safeFileNames(taken).at(-1)!);
    await writeExplanation(file, { explanation, png: await drawScanExplanation(scan, { most }) });
    for (const own of each ? byMember : [])
      await writeFileAtomic(`${file}.${own.member}.png`, await drawScanExplanation(own, { most }));
    const at = explanation.classes.indexOf(explanation.explained);
    const percent = (100 * explanation.probabilities[at]!).toFixed(1);
    const first = explanation.slices.slice(0, PRINTED).map(inWords).join(', ');
    print(
      `${explanation.scan}: ${explanation.explained} ${percent} %; slices with the greatest scores: ${first}`,
    );
    print(`  ${file}.png`);
    for (const finding of findings.filter((line) => !told.has(line))) {
      told.add(finding);
      printError(`warning: ${finding}`);
    }
  }
  return exitCode;
}

function outputFolder({ run, model, out }: ExplainOptions): string {
  if (out !== undefined) return out;
  if (model !== undefined)
    throw new UserError('no folder is given for the pictures', { remedy: 'name one with --out' });
  if (run !== undefined) return explanationsFolder(run);
  throw new UserError('neither a run nor an ensemble file is given', {
    remedy: 'name one with --run DIR or --model FILE',
  });
}

async function explainedBy(
  paths: readonly string[],
  { run, model, scans, members, method, class: className, volumes, engine }: ExplainOptions,
): Promise<AsyncIterable<ExplainedScan | UnexplainedScan>> {
  const shared = {
    method,
    engine,
    ...(members !== undefined && { members }),
    ...(className !== undefined && { className }),
  };
  if (engine === 'tensorflow') await installTensorFlow({ log: printError });
  if (model !== undefined) {
    if (paths.length === 0) throw new UserError('no scan is given', { remedy: 'add the paths of scans' });
    return explainFile({ ...shared, model, scans: await scansAt(paths) });
  }
  if (paths.length > 0)
    throw new UserError(`${paths[0]}: with --run, scans are named with --scans`, {
      remedy: `write --scans ${paths.join(' ')}`,
    });
  const store = volumes ?? join(cacheFolder(), 'volumes');
  return explainRun({ ...shared, run: run!, store, ...(scans !== undefined && { scans }) });
}

const inWords = ({ position, score }: SliceScore) => `${position} (${score.toFixed(3)})`;
