// The command explain: pictures and scores of the slices that speak for a class, for scans of a run.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { print, printError, writeFileAtomic } from '@ct-ensemble/core';
import { cacheFolder, type EngineKind } from '@ct-ensemble/engine';
import {
  drawScanExplanation,
  explainRun,
  explanationsFolder,
  readPlan,
  safeFileNames,
  type SliceScore,
  writeExplanation,
} from '@ct-ensemble/ensemble';
import { CAM_METHODS, type CamMethod } from '@ct-ensemble/models';
import { Command, InvalidArgumentError, Option } from 'commander';
import { engineOption } from '../options.ts';

interface ExplainOptions {
  run: string;
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
      'Shows for scans of a run which slices speak for the predicted class, and where: pictures with maps laid over the slices, and the scores of all slices as JSON.',
    )
    .requiredOption('--run <dir>', 'folder of the run')
    .option(
      '--out <dir>',
      'folder of the pictures and JSON files (default: explanations in the folder of the run, where evaluator:report finds them)',
    )
    .option(
      '--scans <key...>',
      'keys or names of scans (default: the first four test scans, or validation scans if there are none)',
    )
    .option(
      '--members <name...>',
      'members that answer (default: all that are trained and were not trained on the scan)',
    )
    .addOption(
      new Option('--method <method>', 'how the map of the last features is computed')
        .choices(CAM_METHODS)
        .default('grad-cam' satisfies CamMethod),
    )
    .option('--class <name>', 'class that is explained (default: the one that the members predict)')
    .option('--slices <n>', 'number of slices in a picture', slices, 6)
    .option('--volumes <dir>', "folder of the prepared volumes (default: volumes in the user's cache folder)")
    .option('--by-member', 'draw a picture for each member too (the JSON always has the scores of each)')
    .addOption(engineOption('library that computes'))
    .action(run);
}

async function run({
  out: given,
  volumes,
  class: className,
  slices: most,
  byMember: each,
  ...options
}: ExplainOptions) {
  const out = given ?? explanationsFolder(options.run);
  await readPlan(options.run); // before a folder is made
  await mkdir(out, { recursive: true });
  const taken: string[] = [];
  const told = new Set<string>();
  const explained = explainRun({
    ...options,
    store: volumes ?? join(cacheFolder(), 'volumes'),
    ...(className !== undefined && { className }),
  });
  for await (const scan of explained) {
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
}

const inWords = ({ position, score }: SliceScore) => `${position} (${score.toFixed(3)})`;

function slices(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= 1 && value <= 16) return value;
  throw new InvalidArgumentError('It must be a whole number from 1 to 16.');
}
