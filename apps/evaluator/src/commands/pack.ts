// The command pack: writes the trained members of a run into one ensemble file.
import { print, printError } from '@ct-ensemble/core';
import { type EngineKind, installTensorFlow } from '@ct-ensemble/engine';
import { deviceOption, engineOption, packEnsemble, type PackOptions } from '@ct-ensemble/ensemble';
import { Command, Option } from 'commander';

interface Options {
  run: string;
  out: string;
  submission?: string;
  combination: 'mean' | 'weighted';
  float16?: boolean;
  volumes?: string;
  filter?: string;
  masks?: string;
  device: string;
  engine: EngineKind;
}

export function packCommand(): Command {
  return new Command('pack')
    .description(
      'Packs trained members of a run, and all that an answer for a new scan needs, into one ensemble file. Equal runs give equal bytes.',
    )
    .requiredOption('--run <dir>', 'folder of the run')
    .requiredOption('--out <file>', 'ensemble file that is written, such as ensemble.ctens')
    .option(
      '--submission <name>',
      'pack the members of this submission of the recipe (default: all members of the run)',
    )
    .addOption(
      new Option(
        '--combination <how>',
        'mean of the members, or their mean with the weights of the least log loss on the validation scans',
      )
        .choices(['mean', 'weighted'])
        .default('mean'),
    )
    .option(
      '--float16',
      'store the weights in half precision: half the size; the difference in probabilities on the validation scans is measured and written in',
    )
    .option(
      '--volumes <dir>',
      "folder of the prepared volumes of the run (default: volumes in the user's cache folder)",
    )
    .option('--filter <weights>', 'weights file of the slice filter, if the run was made with one')
    .option('--masks <weights>', 'weights file of the lung segmenter, if the run was made with one')
    .addOption(deviceOption('device on which --float16 measures: gpu:0, cpu:2 or auto'))
    .addOption(engineOption('library with which --float16 measures'))
    .action((options: Options) => pack(options));
}

async function pack(options: Options): Promise<void> {
  const { float16 = false, engine, ...rest } = options;
  if (float16 && engine === 'tensorflow') await installTensorFlow({ log: printError });
  const packOptions: PackOptions = {
    ...rest,
    float16,
    engine,
    onProgress: (what) => printError(`${what} …`),
  };
  const { file, bytes, id, manifest } = await packEnsemble(packOptions);
  const { members, calibration, scores, weights } = manifest;
  const rule = calibration.conformal[0]!;
  const source = calibration.source === 'out-of-fold' ? 'out-of-fold' : 'validation';
  print(`${file}: ${members.length} members, ${(bytes / 1e6).toFixed(1)} MB, ${id}`);
  print(
    `macro F1 ${(100 * scores.calibration.macroF1.estimate).toFixed(1)} on ${calibration.scans} ${source} scans`,
  );
  print(
    rule.threshold === null
      ? `${calibration.scans} ${source} scans are too few for conformal sets at alpha ${rule.alpha}: every set holds all classes`
      : `conformal sets at alpha ${rule.alpha}: classes of probability ${(1 - rule.threshold).toFixed(4)} or more, from ${calibration.scans} ${source} scans`,
  );
  if (weights.difference !== null)
    print(
      `float16: probabilities of members differ by ${weights.difference.members.toExponential(1)} at most on ${weights.difference.scans} scans, ` +
        `the ensemble's by ${weights.difference.ensemble.toExponential(1)}; ${weights.difference.changedClasses} predicted classes change`,
    );
  print(`next: nx run evaluator:predict -- --model ${file} SCAN`);
}
