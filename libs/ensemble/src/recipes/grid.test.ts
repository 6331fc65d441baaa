import { messageOf } from '@ct-ensemble/core';
import { parseRecipe } from './load.ts';
import { RECIPE_BOUNDS } from './schema.ts';

/** A recipe whose members, and fields beside them, are these lines; the first of them is line 4. */
const recipeOf = (lines: string) => `name: trial
description: A grid.
volume: { depth: 2, height: 4, width: 4 }
${lines}
training:
  epochs: 1
  batchSize: 1
  loss: { name: focal, gamma: 1.5 }
  optimizer: { name: adam }
  learningRate: [{ from: 0, rate: 1e-3 }]
  augmentation: none
`;
const parsed = (lines: string) =>
  parseRecipe(recipeOf(lines), 'r.yaml', {
    architectures: ['small', 'large'],
    published: ['large'],
    minimumEdges: { large: 4 },
  });
const complaint = (lines: string) => {
  try {
    parsed(lines);
  } catch (error) {
    return messageOf(error);
  }
  return 'accepted';
};
const grid = (text: string) => `members: { ${text} }`;

test('architectures × seeds × folds become members, and one submission of all', () => {
  const { members, folds, submissions } = parsed(
    grid('architectures: [small, { architecture: large, pretrained: true }], seeds: [1, 7], folds: 3'),
  );
  expect(folds).toBe(3);
  expect(members).toHaveLength(2 * 2 * 3);
  expect(members.map(({ name }) => name).slice(0, 4)).toEqual([
    'small-seed1-fold1',
    'small-seed1-fold2',
    'small-seed1-fold3',
    'small-seed7-fold1',
  ]);
  expect(members[11]).toEqual({
    name: 'large-seed7-fold3',
    architecture: 'large',
    seed: 7,
    pretrained: true,
    fold: 3,
  });
  expect(submissions).toEqual([{ name: 'ensemble', members: members.map(({ name }) => name) }]);
});

test('what a grid becomes is read back as a list: the plan of a run holds it', () => {
  const recipe = parsed(grid('architectures: [small], seeds: [1, 2], folds: 2'));
  expect(parseRecipe(JSON.stringify(recipe), 'plan.json')).toEqual(recipe);
});

test('without folds the members have none; an entry may have a name and a mask of its own', () => {
  const text = recipeOf(
    grid('architectures: [small, { architecture: small, name: wide, mask: { dilate: 5 } }], seeds: [4]'),
  );
  const masked = text.replace('width: 4', 'width: 4, mask: { dilate: 3 }');
  const { members, folds } = parseRecipe(masked, 'r.yaml');
  expect(folds).toBeUndefined();
  expect(members).toEqual([
    { name: 'small-seed4', architecture: 'small', seed: 4, pretrained: false },
    {
      name: 'wide-seed4',
      architecture: 'small',
      seed: 4,
      pretrained: false,
      mask: { dilate: 5, edge: 'dilated' },
    },
  ]);
});

test('a submission names all members, those of an architecture or of a seed, or single ones', () => {
  const { submissions } = parsed(`${grid('architectures: [small, large], seeds: [1, 2], folds: 2')}
submissions:
  - { name: every, members: all }
  - { name: larges, members: [large] }
  - { name: mixed, members: [small-seed2, large-seed1-fold2] }`);
  expect(submissions.map(({ members }) => members.length)).toEqual([8, 4, 3]);
  expect(submissions[1]!.members).toEqual(
    [1, 2].flatMap((s) => [1, 2].map((f) => `large-seed${s}-fold${f}`)),
  );
  expect(submissions[2]!.members).toEqual(['small-seed2-fold1', 'small-seed2-fold2', 'large-seed1-fold2']);
});

test('a list of members takes all, no submissions, and a fold by hand', () => {
  const member = (fold: string) => `{ name: a, architecture: small, seed: 1${fold} }`;
  expect(parsed(`members: [${member('')}]`).submissions).toEqual([{ name: 'ensemble', members: ['a'] }]);
  const { submissions, members } = parsed(
    `folds: 4\nmembers: [${member(', fold: 2')}]\nsubmissions: [{ name: x, members: all }]`,
  );
  expect(submissions).toEqual([{ name: 'x', members: ['a'] }]);
  expect(members[0]!.fold).toBe(2);
});

const twoByFive = 'seeds: [1, 2], folds: 5';

test.each([
  [grid('seeds: [1]'), /^r.yaml: line 4: members.architectures is missing: it must be a list$/],
  [grid('architectures: [small]'), /^r.yaml: line 4: members.seeds is missing: it must be a list$/],
  [grid('architectures: [], seeds: [1]'), /members.architectures needs at least one architecture$/],
  [grid('architectures: [small], seeds: []'), /members.seeds needs at least one seed$/],
  [
    grid('architectures: [small], seeds: [-1]'),
    /members.seeds\[0\] must be a whole number, 0 to .*, not -1$/,
  ],
  [
    grid('architectures: [small], seeds: [1], folds: 1'),
    /members.folds must be a whole number, 2 or more, not 1$/,
  ],
  [
    grid('architectures: [small], seeds: [3, 3]'),
    /^r.yaml: line 4: members.seeds\[1\] 3 is there twice: remove one$/,
  ],
  [
    grid('architectures: [small], seeds: [1], fold: 2'),
    /members.fold is not a field of a recipe \(did you mean "folds"\?\)$/,
  ],
  [
    grid(`architectures: [{ architecture: small, msk: { dilate: 3 } }], ${twoByFive}`),
    /^r.yaml: line 4: members.architectures\[0\].msk is not a field of a recipe \(did you mean "mask"\?\)$/,
  ],
  [
    grid(`architectures: [smal], ${twoByFive}`),
    /^r.yaml: line 4: members.architectures\[0\] "smal" is not one of small, large \(did you mean "small"\?\)$/,
  ],
  [
    grid(`architectures: [{ architecture: small, pretrained: true }], ${twoByFive}`),
    /^r.yaml: line 4: members.architectures\[0\].pretrained cannot be true: no weights are published for small, but for large$/,
  ],
  [
    grid(`architectures: [5], ${twoByFive}`),
    /architectures\[0\] must be the name of an architecture, or a mapping that names one.*, not 5$/,
  ],
  [
    grid(`architectures: [small, small], ${twoByFive}`),
    /architectures\[1\] has members of the same names as architectures\[0\]: give it a name of its own/,
  ],
  [
    grid(`architectures: [small, { architecture: small, name: other }], ${twoByFive}`),
    /^r.yaml: line 4: members.architectures\[1\] is another of the architectures once more: .*; give it another mask or start, or remove it$/,
  ],
  [
    grid(`architectures: [{ architecture: small, name: a/b }], ${twoByFive}`),
    /architectures\[0\] has members named a\/b-seed1…, no safe folder names .*: give it another name, of at most 52/,
  ],
  [
    grid(`architectures: [{ architecture: small, mask: { dilate: 3 } }], ${twoByFive}`),
    /^r.yaml: line 4: members.architectures\[0\].mask is given, but the volume's is none$/,
  ],
  [
    `folds: 5\n${grid('architectures: [small], seeds: [1]')}`,
    /^r.yaml: line 4: folds belongs to the grid: write it as members.folds$/,
  ],
  [
    grid(`architectures: [small], seeds: [1, 2], folds: ${RECIPE_BOUNDS.members}`),
    /members has 1 × 2 × 1000 = 2000 members \(architectures × seeds × folds\), more than 1000: take fewer of them$/,
  ],
  [
    `${grid(`architectures: [small], ${twoByFive}`)}\nsubmissions: [{ name: x, members: [small-seed1, smll] }]`,
    /^r.yaml: line 5: submissions\[0\].members\[1\] "smll" is no member \(did you mean "small"\?\)$/,
  ],
  [
    `${grid(`architectures: [small], ${twoByFive}`)}\nsubmissions: [{ name: x, members: [small, small-seed1-fold2] }]`,
    /submissions\[0\].members\[1\] "small-seed1-fold2" is named twice$/,
  ],
  [
    `${grid(`architectures: [small], ${twoByFive}`)}\nsubmissions: [{ name: x, members: small }]`,
    /submissions\[0\].members must be a list of members, or all, not "small"$/,
  ],
  [
    `${grid(`architectures: [small], ${twoByFive}`)}\nsubmissions: [{ name: out-of-fold, members: all }]`,
    /submissions\[0\].name cannot be out-of-fold: .* choose another$/,
  ],
  [
    'members: small',
    /members must be a list of members, or a grid with architectures and seeds, not "small"$/,
  ],
])('%s is refused', (lines, message) => expect(complaint(lines)).toMatch(message));

test.each([
  [
    '',
    ', fold: 1',
    /line 4: members\[0\].fold is given, but not how many folds there are: add the field folds/,
  ],
  ['folds: 3\n', ', fold: 4', /line 5: members\[0\].fold must be at most folds, 3, not 4$/],
  ['folds: 3\n', ', fold: 0', /members\[0\].fold must be a whole number, 1 or more, not 0$/],
])('a fold by hand: %j with%s is refused', (folds, fold, message) => {
  const lines = `${folds}members: [{ name: a, architecture: small, seed: 1${fold} }]`;
  expect(complaint(lines)).toMatch(message);
});

test('members with and without fold in one recipe are refused; the same network in another fold is another member', () => {
  const members = (...folds: string[]) =>
    `folds: 2\nmembers:\n${folds.map((fold, i) => `  - { name: m${i}, architecture: small, seed: 1${fold} }`).join('\n')}`;
  expect(complaint(members(', fold: 1', ', fold: 2'))).toBe('accepted');
  expect(complaint(members(', fold: 1', ''))).toMatch(
    /line 7: members\[1\].fold is missing, but members\[0\] has one: either all members are trained by fold or none$/,
  );
  expect(complaint(members(', fold: 1', ', fold: 1'))).toMatch(
    /same architecture, mask, start, seed and fold/,
  );
});

test('other mistakes are reported beside those of the grid', () => {
  const text = recipeOf(grid('architectures: [small], seeds: [1, 1]')).replace('epochs: 1', 'epochs: 0');
  expect(() => parseRecipe(text, 'r.yaml')).toThrow(
    /2 problems\n {2}line 4: members.seeds\[1\] 1 is there twice.*\n {2}line 6: training.epochs must be/,
  );
});
