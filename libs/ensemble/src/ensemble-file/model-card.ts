// README.md inside an ensemble file: what the ensemble is, for people, in plain words.
import type { EnsembleScores, Manifest } from './manifest.ts';

/** The model card as Markdown. */
export function modelCard(manifest: Omit<Manifest, 'entries'>): string {
  const { name, classes, members, preparation, calibration, scores, training, weights, run, engine } =
    manifest;
  const [volume] = preparation.volumes;
  const slices = [volume!.depth].flat().join(' and ');
  const rule = calibration.conformal[0]!;
  const lines = [
    `# ${name}`,
    '',
    `An ensemble of ${members.length} convolutional network${members.length === 1 ? '' : 's'} that gives chest CT scans a probability for each of the classes ${classes.map(code).join(', ')}.`,
    '',
    '**Not a medical device.** It is research software. It was neither tested nor approved for diagnosis or treatment, and no decision about a patient may rest on it.',
    '',
    '## What it is',
    '',
    `- Members: ${members.map(({ name, architecture, seed, fold }) => `${code(name)} (${architecture}, seed ${seed}${fold === null ? '' : `, fold ${fold}`})`).join(', ')}.`,
    `- A scan is prepared to ${slices} slices of ${volume!.width} × ${volume!.height} pixels, 8-bit grey from −1150 to 350 HU, from ${volume!.slices === 'lung' ? 'the slices that show lung' : 'all slices'}${volume!.mask ? ', with everything outside of the lung black' : ''}${volume!.equalize ? ', histograms equalised' : ''}${preparation.volumes.length > 1 ? `; members see ${preparation.volumes.length} kinds of volumes` : ''}.`,
    `- The answer is the ${manifest.combination.method === 'mean' ? 'mean' : 'weighted mean'} of the members' probabilities.`,
    `- Weights: ${weights.type}${differenceOf(weights.difference)}.`,
    `- Trained with the recipe ${code(run.recipe)}${run.task === null ? '' : `, task ${run.task}`}; computed with ${engine.trainedWith.join('; ')}.`,
    '',
    '## Data',
    '',
    `${training.scans} scans for training: ${classes.map((label, k) => `${training.perClass[k]} ${code(label)}`).join(', ')}. Digest of the data set: ${code(run.dataset)}.`,
    '',
    '## Scores',
    '',
    'With 95 % intervals (bootstrap over patients, BCa where it exists).',
    '',
    '| scans | macro F1 | accuracy | macro AUROC |',
    '| --- | --- | --- | --- |',
    scoreRow(calibration.source === 'out-of-fold' ? 'out of fold' : 'validation', scores.calibration),
    ...(scores.test === null ? [] : [scoreRow('test', scores.test)]),
    '',
    ...(calibration.source === 'validation'
      ? [
          'The epoch of each member was chosen on the validation scans, which makes their scores too good.',
          '',
        ]
      : [
          'Out-of-fold: each scan was scored by the members that were not trained on it. The epoch of a member was chosen on its own fold, which makes these scores somewhat too good.',
          '',
        ]),
    ...([scores.calibration, scores.test].some((each) => each?.rough)
      ? ['A class has fewer than ten scans: the intervals are rough ones.', '']
      : []),
    '## Doubt',
    '',
    `Beside the class, a set of classes is given that cannot be excluded, from ${calibration.scans} ${calibration.source === 'out-of-fold' ? 'out-of-fold' : 'validation'} scans of ${calibration.patients} patients. ${rule.guarantee}${calibration.source === 'validation' ? ' The validation scans also chose the epochs, so that the true share may be lower.' : ' New scans are answered by the members of all folds, those of the calibration by one fold each, so that this holds approximately.'} A set of several classes, or of none, is for a reader.`,
    '',
    `The temperature ${calibration.temperature.value.toPrecision(3)} fits these scans best (log loss ${calibration.temperature.logLossBefore.toFixed(3)} → ${calibration.temperature.logLossAfter.toFixed(3)}); it is given as \`calibrated\` beside the probabilities and changes no class.`,
    '',
    '## Limits',
    '',
    '- It knows nothing but scans like those it was trained on. Scans of other scanners, protocols, regions of the body, ages or diseases may be answered with great certainty and wrongly.',
    `- A scan is reported as unlike the training scans if its number of slices, share of lung or grey values lie outside of what the ${training.scans} training scans have, widened by a tenth. A scan without this finding may still be unlike them.`,
    '- The classes are all that it can answer: a scan of anything else gets one of them too.',
    '- The scores were measured on one data set. Measure them on your own scans before you rely on them.',
    '',
    '## Use',
    '',
    '```sh',
    'npx nx run evaluator:predict -- --model FILE.ctens SCAN…',
    '```',
    '',
    'The weights are safetensors files under the names of torchvision. `manifest.json` lists every file with its SHA-256.',
  ];
  return `${lines.join('\n')}\n`;
}

const code = (text: string) => `\`${text.replaceAll('`', "'")}\``;

function scoreRow(title: string, { scans, patients, macroF1, accuracy, auroc }: EnsembleScores): string {
  const cell = (interval: EnsembleScores['auroc']) =>
    interval === null
      ? '–'
      : interval.low === null || interval.high === null
        ? percent(interval.estimate)
        : `${percent(interval.estimate)} (${percent(interval.low)} – ${percent(interval.high)})`;
  const patientsText = patients === scans ? '' : ` of ${patients} patients`;
  return `| ${title}, ${scans}${patientsText} | ${cell(macroF1)} | ${cell(accuracy)} | ${cell(auroc)} |`;
}

const percent = (value: number) => (100 * value).toFixed(1);

function differenceOf(difference: Manifest['weights']['difference']): string {
  if (difference === null) return '';
  const { scans, members, ensemble, changedClasses } = difference;
  return `, rounded from float32; on ${scans} validation scans a member's probability changes by ${members.toExponential(1)} at most, the ensemble's by ${ensemble.toExponential(1)}, and the predicted class of ${changedClasses} scans`;
}
