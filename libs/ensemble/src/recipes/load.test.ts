import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '@ct-ensemble/core';
import { learningRateAt } from '@ct-ensemble/training';
import { loadRecipe, parseRecipe, recipeNames } from './load.ts';
import { classesOf, preparationsOf } from './schema.ts';

const valid = `name: trial
task: detection
description: Two members.
volume: { depth: 2, height: 4, width: 4 }
members:
  - { name: first, architecture: densenet_small, seed: 1 }
  - { name: second, architecture: densenet_small, seed: 2 }
training:
  epochs: 3
  batchSize: 4
  loss: { name: focal, gamma: 1.5 }
  optimizer: { name: adam }
  learningRate:
    - { from: 0, rate: 1e-3 }
    - { from: 2, rate: 1e-4 }
  augmentation: none
submissions:
  - { name: both, members: [first, second] }
`;

/** The valid recipe with one edit. */
function edited(from: string, to: string): string {
  expect(valid).toContain(from);
  return valid.replace(from, to);
}

function complaint(text: string, architectures?: string[]): string {
  try {
    parseRecipe(text, 'r.yaml', architectures === undefined ? {} : { architectures });
  } catch (error) {
    return messageOf(error);
  }
  return 'accepted';
}

test('a recipe is read, defaults are filled in', () => {
  const recipe = parseRecipe(valid, 'r.yaml');
  const second = { name: 'second', architecture: 'densenet_small', seed: 2, pretrained: false };
  expect(recipe.members[1]).toEqual(second);
  expect(recipe.training.optimizer).toEqual({ name: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8 });
  expect(recipe.training.learningRate).toEqual([
    { from: 0, rate: 0.001 },
    { from: 2, rate: 0.0001 },
  ]);
  const none = { rotate: 0, flipHorizontal: 0, flipVertical: [], blur: 0, gain: [] };
  expect(recipe.training.augmentation).toEqual(none);
  const rotated = parseRecipe(edited('augmentation: none', 'augmentation: { rotate: 10 }'), 'r.yaml');
  expect(rotated.training.augmentation).toEqual({ ...none, rotate: 10 });
});

// What is wrong, the edit, the complaint.
const mistakes: [string, string, string, RegExp][] = [
  [
    'three views',
    'depth: 2',
    'depth: [2, 2, 2]',
    /volume\.depth must be a whole number, 1 or more, or two of them for two views/,
  ],
  ['a depth of words', 'depth: 2', 'depth: deep', /volume\.depth must be a whole number, 1 or more, or two/],
  [
    'an even dilation',
    'depth: 2',
    'mask: { dilate: 4 }, depth: 2',
    /volume\.mask\.dilate must be an odd number, not 4/,
  ],
  [
    'a mistyped field of the mask',
    'depth: 2',
    'mask: { dilat: 3 }, depth: 2',
    /volume\.mask\.dilat is not a field of a recipe \(did you mean "dilate"\?\)/,
  ],
  [
    "a member's mask without the volume's",
    'densenet_small, seed: 1',
    'densenet_small, seed: 1, mask: { dilate: 3 }',
    /members\[0\]\.mask is given, but the volume's is none/,
  ],
  [
    'an unknown field',
    'batchSize: 4',
    'batch_size: 4',
    /line 10: training\.batch_size is not a field.*"batchSize"/,
  ],
  ['an unknown field of an item', 'seed: 2', 'sead: 2', /line 7: members\[1\]\.sead is not .*"seed"/],
  ['a missing field', '  batchSize: 4\n', '', /line 8: training\.batchSize is missing: it must be a whole/],
  ['no augmentation', '  augmentation: none\n', '', /line 8: training\.augmentation is missing/],
  [
    'a mistyped value',
    'detection',
    'detecton',
    /line 2: task must be .*, not "detecton" \(did you mean "detection"/,
  ],
  [
    'a field of another loss',
    'loss: { name: focal, gamma: 1.5 }',
    'loss: { name: cross-entropy, gamma: 1.5 }',
    /line 11: training\.loss\.gamma is not a field of a recipe \(fields here: name, labelSmoothing, classWeights, beta\)/,
  ],
  [
    'a mistyped field of a loss',
    'gamma: 1.5',
    'gamma: 1.5, labelSmothing: 0.1',
    /line 11: training\.loss\.labelSmothing is not a field of a recipe \(did you mean "labelSmoothing"\?\)/,
  ],
  [
    'a loss without a name',
    'name: focal, ',
    '',
    /line 11: training\.loss\.name is missing: it must be one of focal, cross-entropy/,
  ],
  [
    'no loss but text',
    '{ name: focal, gamma: 1.5 }',
    'focal',
    /line 11: training\.loss must be a mapping, not "focal"/,
  ],
  [
    'mistyped class weights',
    'gamma: 1.5',
    'gamma: 1.5, classWeights: inverse-freqency',
    /line 11: training\.loss\.classWeights must be none, inverse-frequency, effective-number, or a list .*\(did you mean "inverse-frequency"\?\)/,
  ],
  [
    'class weights of another task',
    'gamma: 1.5',
    'gamma: 1.5, classWeights: [1, 2, 3]',
    /line 11: training\.loss\.classWeights has 3 numbers, but there are 2 classes: non-covid, covid/,
  ],
  [
    'a beta that nothing uses',
    'gamma: 1.5',
    'gamma: 1.5, beta: 0.9',
    /line 11: training\.loss\.beta is only used with classWeights: effective-number/,
  ],
  [
    'a mistyped optimizer',
    'name: adam',
    'name: adamx',
    /line 12: training\.optimizer\.name must be one of adam, adamw, sgd, not "adamx" \(did you mean "adam"/,
  ],
  [
    'Nesterov without momentum',
    'name: adam',
    'name: sgd, nesterov: true',
    /line 12: training\.optimizer\.nesterov needs a momentum above 0/,
  ],
  [
    'a batch that micro-batches do not divide',
    '  batchSize: 4',
    '  batchSize: 4\n  accumulate: 3',
    /line 11: training\.accumulate must divide batchSize, 4, without a remainder/,
  ],
  [
    'a mistyped precision',
    '  batchSize: 4',
    '  batchSize: 4\n  precision: mixd',
    /line 11: training\.precision must be float32, mixed or mixed-float16, not "mixd" \(did you mean "mixed"/,
  ],
  [
    'a mistyped engine setting',
    'training:',
    'engine: { tf3: true }\ntraining:',
    /line 8: engine\.tf3 is not .*"tf32"/,
  ],
  [
    'a memory limit without a unit',
    'training:',
    'engine: { memoryLimit: "8" }\ntraining:',
    /line 8: engine\.memoryLimit must be a size such as 8GiB or 500MiB/,
  ],
  [
    'mixup without alpha',
    'none',
    '{ mixup: { alpa: 1 } }',
    /line 16: training\.augmentation\.mixup\.alpa is not .*"alpha"/,
  ],
  ['a mistyped loss', 'focal', 'fokal', /line 11: training\.loss\.name .*"fokal" \(did you mean "focal"/],
  [
    'text for a number',
    'epochs: 3',
    'epochs: many',
    /line 9: training\.epochs must be a whole.*, not "many"/,
  ],
  [
    'no whole number',
    'epochs: 3',
    'epochs: 2.5',
    /line 9: training\.epochs must be a whole number.*, not 2\.5/,
  ],
  ['zero', 'depth: 2', 'depth: 0', /line 4: volume\.depth must be a whole number, 1 or more, not 0/],
  [
    'an infinite rate',
    'rate: 1e-3',
    'rate: .inf',
    /line 14: training\.learningRate\[0\]\.rate must be .*Infinity/,
  ],
  ['a null', 'epochs: 3', 'epochs:', /line 9: training\.epochs must be .*, not null/],
  [
    'a probability above 1',
    'none',
    '{ blur: 2 }',
    /line 16: training\.augmentation\.blur must be a probab.*, not 2/,
  ],
  [
    'an unknown augmentation',
    'none',
    '{ rotat: 2 }',
    /line 16: training\.augmentation\.rotat is not.*"rotate"/,
  ],
  [
    'a gain without factor',
    'none',
    '{ gain: [{ probability: 1 }] }',
    /augmentation\.gain\[0\]\.factor is missing/,
  ],
  ['augmentation as text', 'none', 'nome', /line 16: training\.augmentation must be a mapping.*, not "nome"/],
  [
    'an unsafe member name',
    'name: first',
    'name: ../first',
    /line 6: members\[0\]\.name must be a safe folder name/,
  ],
  ['an unsafe submission name', 'name: both', 'name: a/b', /line 18: submissions\[0\]\.name must be a safe/],
  ['two members of one name', 'name: second', 'name: First', /line 7: members\[1\]\.name names two members/],
  [
    'an unknown member',
    '[first, second]',
    '[first, secnd]',
    /line 18: submissions\[0\]\.members\[1\] "secnd" .*"second"/,
  ],
  [
    'a member twice',
    '[first, second]',
    '[first, first]',
    /line 18: submissions\[0\]\.members\[1\] "first" is named twice/,
  ],
  ['no first rate', 'from: 0', 'from: 1', /line 14: training\.learningRate\[0\]\.from must be 0 .*, not 1/],
  [
    'rates out of order',
    'from: 2',
    'from: 0',
    /line 15: training\.learningRate\[1\]\.from must be greater than 0/,
  ],
  [
    'a submission of nothing',
    '[first, second]',
    '[]',
    /line 18: submissions\[0\]\.members needs at least one/,
  ],
  ['a field twice', '  epochs: 3', '  epochs: 3\n  epochs: 4', /line 10: .*unique/],
  ['a huge height', 'height: 4', 'height: 100000', /line 4: volume\.height must be at most 4096, not 100000/],
  ['two deep views', 'depth: 2', 'depth: [4000, 97]', /line 4: volume\.depth must be at most 4096/],
  [
    'a huge volume',
    'depth: 2, height: 4, width: 4',
    'depth: 65, height: 2048, width: 2048',
    /line 4: volume has 272629760 voxels, more than 268435456/,
  ],
  [
    'a huge batch',
    'batchSize: 4',
    'batchSize: 1000000000',
    /line 10: training\.batchSize must be at most 4096, not 1000000000/,
  ],
  [
    'a huge mask',
    'depth: 2',
    'mask: { dilate: 99999 }, depth: 2',
    /mask\.dilate must be at most 4096, not 99999/,
  ],
  ['broken YAML', 'depth: 2,', 'depth: [2,', /line [45]: Flow/],
  [
    'a seed beyond 32 bits',
    'seed: 1',
    'seed: 4294967296',
    /line 6: members\[0\]\.seed must be .*, not 4294967296/,
  ],
];

test.each(mistakes.map(([title, from, to, message]) => ({ title, from, to, message })))(
  '$title is reported with line and field',
  ({ from, to, message }) => {
    const text = complaint(edited(from, to));
    expect(text).toMatch(/^r\.yaml: /);
    expect(text).toMatch(message);
  },
);

test('a batch of large volumes is limited by the voxels of both', () => {
  const large = edited('depth: 2, height: 4, width: 4', 'depth: 64, height: 2048, width: 2048');
  expect(complaint(large)).toBe('accepted'); // 4 × 2^28 = 2^30
  expect(complaint(large.replace('batchSize: 4', 'batchSize: 9'))).toMatch(
    /^r\.yaml: line 10: training\.batchSize is too large: a batch would have 2415919104 voxels, more than 2147483648/,
  );
});

const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
test.each([
  ['lists in one line', nested(33)],
  ['thirty thousand lists that are never closed', '['.repeat(30_000)],
  ['lists in block form', `${'- '.repeat(20_000)}x`],
  ['mappings in block form', Array.from({ length: 300 }, (_, i) => `${' '.repeat(i)}a:`).join('\n')],
  ['mappings as keys', `${'{'.repeat(5000)}a${'}: 1'.repeat(5000)}`],
])('deep nesting is one clear error: %s', (_, text) => {
  expect(complaint(text)).toBe(
    'r.yaml: has mappings and lists more than 32 levels deep → write a recipe as in docs/recipes.md',
  );
});

test('nesting up to the bound is judged like any other recipe', () => {
  expect(complaint(nested(32))).toMatch(/^r\.yaml: line 1: the recipe must be a mapping/);
});

test('aliases that grow exponentially are refused, ordinary ones are not', () => {
  const bomb = Array.from(
    { length: 12 },
    (_, i) => `a${i}: &a${i} [${i === 0 ? 'x' : Array(9).fill(`*a${i - 1}`)}]`,
  );
  expect(complaint(bomb.join('\n'))).toMatch(
    /^r\.yaml: is not valid YAML \(Excessive alias count.* → write it with at most/,
  );
  expect(complaint(edited('epochs: 3', 'epochs: &n 3').replace('batchSize: 4', 'batchSize: *n'))).toBe(
    'accepted',
  );
});

test('of many problems the first twenty are listed', () => {
  const told = complaint('}\n'.repeat(200)).split('\n');
  expect(told[0]).toMatch(/^r\.yaml: \d+ problems$/);
  expect(told).toHaveLength(22);
  expect(told.at(-1)).toMatch(/^ {2}and \d+ more$/);
});

test('a recipe larger than 64 KiB and a folder are refused', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-recipe-'));
  await writeFile(join(folder, 'big.yaml'), `${valid}#${'x'.repeat(2 ** 16)}`);
  await expect(loadRecipe(join(folder, 'big.yaml'))).rejects.toThrow(
    /big\.yaml: is a file of \d+ bytes; at most 65536/,
  );
  await expect(loadRecipe(`${folder}/`)).rejects.toThrow(/is a folder, not a regular file/);
});

const cosine = (text: string) =>
  valid.replace(/ {2}learningRate:\n(?: {4}- .*\n)+/, `  learningRate: ${text}\n`);

test('a schedule by name, and what is wrong with one', () => {
  const { training } = parseRecipe(cosine('{ schedule: cosine, rate: 0.1, warmUp: 1 }'), 'r.yaml');
  expect(training.learningRate).toEqual({ schedule: 'cosine', rate: 0.1, warmUp: 1, final: 0 });
  const wrong = [
    ['{ schedule: cosin, rate: 0.1 }', /training\.learningRate\.schedule must be one of cosine, not "cosin" \(did you mean "cosine"/],
    ['{ rate: 0.1 }', /training\.learningRate\.schedule is missing: it must be one of cosine/],
    ['{ schedule: cosine, rat: 0.1 }', /training\.learningRate\.rate is missing/],
    ['{ schedule: cosine, rate: 0.1, warmup: 1 }', /training\.learningRate\.warmup is not .*\(did you mean "warmUp"/],
    ['{ schedule: cosine, rate: 0.1, final: 1 }', /training\.learningRate\.final must not be above rate, not 1/],
    ['{ schedule: cosine, rate: 0.1, warmUp: 3 }', /training\.learningRate\.warmUp must be below epochs, 3, not 3/],
    ['0.1', /training\.learningRate must be a list of rates, or a mapping with a schedule such as cosine, not 0\.1/],
  ] as const; // prettier-ignore
  for (const [text, message] of wrong) expect(complaint(cosine(text))).toMatch(message);
});

test('a member that would be trained to the same weights as another is refused', () => {
  const twins = edited(
    'name: second, architecture: densenet_small, seed: 2',
    'name: second, seed: 1, architecture: densenet_small',
  );
  expect(complaint(twins)).toBe(
    'r.yaml: line 7: members[1] is members[0] once more: same architecture, mask, start and seed; give it another seed',
  );
  for (const difference of ['architecture: resnext_small', 'pretrained: true, architecture: densenet_small'])
    expect(complaint(twins.replace('seed: 1, architecture: densenet_small', `seed: 1, ${difference}`))).toBe(
      'accepted',
    );
  const masked = twins.replace('depth: 2', 'mask: { dilate: 5 }, depth: 2');
  const withMask = (dilate: number) =>
    masked.replace('name: second,', `name: second, mask: { dilate: ${dilate} },`);
  expect(complaint(withMask(3))).toBe('accepted');
  expect(complaint(withMask(5))).toMatch(/line 7: members\[1\] is members\[0\] once more/);
  const pretrained = twins.replaceAll('seed: 1', 'seed: 1, pretrained: true');
  expect(complaint(pretrained)).toMatch(/members\[1\] is members\[0\] once more/);
});

test('a volume too small for its networks is refused at the lines of its edges, for all networks at once', () => {
  const options = { minimumEdges: { densenet_small: 13, resnext_small: 17, inception_v3_small: 75 } };
  const told = (text: string) => {
    try {
      parseRecipe(text, 'r.yaml', options);
      return 'accepted';
    } catch (error) {
      return messageOf(error);
    }
  };
  const two = edited('densenet_small, seed: 2', 'resnext_small, seed: 2').replace(
    'height: 4, width: 4',
    'height: 16,\n  width: 12',
  );
  expect(told(two)).toBe(
    'r.yaml: 2 problems\n' +
      '  line 4: volume.height 16: resnext_small needs 17 pixels or more\n' +
      '  line 5: volume.width 12: densenet_small needs 13 pixels or more, resnext_small needs 17 pixels or more',
  );
  expect(told(two.replace('height: 16', 'height: 17').replace('width: 12', 'width: 17'))).toBe('accepted');
});

test('every problem is listed, in the order of the lines, those across fields too', () => {
  const text = edited('task: detection', 'taks: detection')
    .replace('epochs: 3', 'epochs: 0')
    .replace('from: 0', 'from: 5')
    .replace('[first, second]', '[first, third]');
  expect(complaint(text).split('\n')).toEqual([
    'r.yaml: 5 problems',
    expect.stringMatching(/^ {2}line 2: taks is not a field of a recipe \(did you mean "task"\?\)$/),
    expect.stringMatching(/^ {2}line 9: training\.epochs/),
    expect.stringMatching(/^ {2}line 14: training\.learningRate\[0\]\.from/),
    expect.stringMatching(/^ {2}line 15: training\.learningRate\[1\]\.from/),
    expect.stringMatching(/^ {2}line 18: submissions\[0\]\.members\[1\] "third" is no member$/),
  ]);
});

test('classes: given, those of the task, or those of the data', () => {
  expect(classesOf(parseRecipe(valid, 'r.yaml'))).toEqual(['non-covid', 'covid']);
  const severity = edited('task: detection', 'task: severity');
  expect(classesOf(parseRecipe(severity, 'r.yaml'))).toEqual(['mild', 'moderate', 'severe', 'critical']);
  const own = edited('task: detection', 'classes: [b, a, __proto__, constructor, \'two words, "x"\']');
  const names = ['b', 'a', '__proto__', 'constructor', 'two words, "x"'];
  expect(classesOf(parseRecipe(own, 'r.yaml'))).toEqual(names);
  expect(classesOf(parseRecipe(edited('task: detection\n', ''), 'r.yaml'))).toBeNull();
});

test('layout, split and folds', () => {
  const text = edited('task: detection', 'layout: folders\nsplit: { val: 0.25 }\nfolds: 5');
  expect(parseRecipe(text, 'r.yaml')).toMatchObject({
    layout: 'folders',
    split: { val: 0.25, test: 0, seed: 1 },
    folds: 5,
  });
});

test.each([
  ['classes: [a]', /line 2: classes needs two classes or more/],
  ['classes: [a, b, a]', /line 2: classes\[2\] "a" is named twice/],
  ['classes: ["a\\u0308", "\u00e4"]', /line 2: classes\[1\] "ä" is named twice/],
  ['classes: [a, " b"]', /line 2: classes\[1\] must not begin or end with a space/],
  ['classes: [a, "b\\nc"]', /line 2: classes\[1\] must not hold control characters or line breaks/],
  ['classes: [a, ""]', /line 2: classes\[1\] must not be empty/],
  ['classes: a, b', /line 2: classes must be a list, not "a, b"/],
  ['classes: [a, 1]', /line 2: classes\[1\] must be text, not 1/],
  ['task: detection\nclasses: [a, b]', /line 3: classes cannot be given together with task/],
  ['layout: folder', /line 2: layout must be one of .*, not "folder" \(did you mean "folders"\?\)/],
  ['split: { val: 0 }', /line 2: split\.val must be above 0, not 0/],
  ['split: { test: 0.2 }', /line 2: split\.val is missing: it must be a share/],
  ['split: { val: 0.5, test: 0.5 }', /line 2: split leaves no scan for training/],
  ['split: { val: 1.5 }', /line 2: split\.val must be a share, 0 or more and below 1, not 1\.5/],
  ['split: { vall: 0.5 }', /split\.vall is not a field of a recipe \(did you mean "val"\?\)/],
  ['folds: 1', /line 2: folds must be a whole number, 2 or more, not 1/],
])('%j is refused', (lines, message) => {
  expect(complaint(edited('task: detection', lines))).toMatch(message);
});

test('without a task there may be more than five submissions; six and two of one name do not', () => {
  const line = '  - { name: both, members: [first, second] }\n';
  const named = (names: string[]) =>
    valid.replace(line, names.map((name) => line.replace('both', name)).join(''));
  expect(complaint(named(['a', 'b', 'c', 'd', 'e']))).toBe('accepted');
  expect(complaint(named(['a', 'b', 'c', 'd', 'e', 'f']))).toMatch(/submissions .*five at most/);
  const sixWithoutTask = named(['a', 'b', 'c', 'd', 'e', 'f']).replace('task: detection\n', '');
  expect(complaint(sixWithoutTask)).toBe('accepted');
  expect(complaint(named(['a', 'A']))).toMatch(/line 19: submissions\[1\]\.name names two submissions/);
});

test.each(['', '[]', 'text', '42'])('%j is no recipe', (text) => {
  expect(complaint(text)).toMatch(/^r\.yaml: line 1: the recipe must be a mapping/);
});

test('architectures are checked when they are given', () => {
  expect(complaint(valid, ['densenet_small'])).toBe('accepted');
  expect(complaint(valid, ['densenet161', 'densenet-small'])).toMatch(
    /line 6: members\[0\]\.architecture "densenet_small" is not one of .* \(did you mean "densenet-small"\?\)/,
  );
});

test('a member cannot start from weights that are not published', () => {
  const text = valid.replace(
    'architecture: densenet_small, seed: 2',
    'architecture: densenet_small, pretrained: true, seed: 2',
  );
  expect(text).not.toBe(valid);
  const published = ['densenet161'];
  expect(() => parseRecipe(text, 'r.yaml', { published })).toThrow(
    /^r\.yaml: line 7: members\[1\]\.pretrained cannot be true: no weights are published for densenet_small, but for densenet161$/,
  );
  expect(parseRecipe(text, 'r.yaml', { published: ['densenet_small'] }).members[1]!.pretrained).toBe(true);
});

test('a file and a name find their recipe; the error for a mistyped one names the nearest', async () => {
  const path = join(await mkdtemp(join(tmpdir(), 'ct-ensemble-recipe-')), 'mine.yml');
  await writeFile(path, valid);
  expect((await loadRecipe(path)).name).toBe('trial');
  expect((await loadRecipe('quick')).name).toBe('quick');
  await expect(loadRecipe('quik')).rejects.toThrow(/no recipe "quik" \(did you mean "quick"\?\)/);
  await expect(loadRecipe(`${path}.yaml`)).rejects.toThrow(/mine\.yml\.yaml: there is no such recipe/);
  await expect(loadRecipe(join(path, '..') + '/')).rejects.toThrow(/is a folder, not a regular file/);
});

describe('built-in recipes', () => {
  test('every one is valid and named like its file', async () => {
    const names = await recipeNames();
    expect(names).toEqual(expect.arrayContaining(['detection-paper', 'quick']));
    for (const name of names) expect((await loadRecipe(name)).name).toBe(name);
  });

  test('severity: two views, masks with the borders of the published systems, the second view with slices of its own in improved', async () => {
    const bordersOf = async (name: string) =>
      preparationsOf(await loadRecipe(name)).map(({ preparation, members }) => {
        expect(preparation).toMatchObject({ depth: [32, 16], height: 299, width: 299, equalize: true });
        return [preparation.mask, members.length];
      });
    const plain = [
      [{ dilate: 5, edge: 'dilated' }, 2],
      [{ dilate: 3, edge: 'dilated' }, 4],
    ];
    expect(await bordersOf('severity-paper')).toEqual(plain);
    expect(await bordersOf('severity-improved')).toEqual(plain);
    expect(await bordersOf('severity-paper-code')).toEqual([
      [{ dilate: 5, edge: 'overflow' }, 2],
      [{ dilate: 3, edge: 'overflow' }, 4],
    ]);
    const { volume } = await loadRecipe('severity-improved');
    expect(volume).toMatchObject({ sampling: 'lung-area', secondView: 'own' });
  });

  test('detection-paper holds the published settings', async () => {
    const { volume, members, training, submissions } = await loadRecipe('detection-paper');
    expect(volume).toMatchObject({ depth: 64, height: 224, width: 224, slices: 'lung', mask: null });
    expect(members.map((member) => member.architecture)).toEqual(Array(3).fill('densenet161'));
    expect([training.epochs, training.batchSize, training.loss]).toEqual([40, 16, { name: 'focal', gamma: 1.5 }]); // prettier-ignore
    const { epochs, learningRate } = training;
    const rateOf = (epoch: number) =>
      learningRateAt(learningRate, { epoch, epochs, step: 0, stepsPerEpoch: 1 });
    expect([0, 15, 16, 30, 31, 39].map(rateOf)).toEqual([1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-6]);
    const sets = submissions.map((submission) =>
      submission.members.map((name) => 1 + members.findIndex((member) => member.name === name)),
    );
    expect(sets).toEqual([[1], [2], [1, 2], [2, 3], [1, 2, 3]]);
  });

  test('the package carries them', async () => {
    const { files } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(files).toContain('recipes');
  });
});
