import { parseRecipe } from '../recipes/load.ts';
import { recipeText, scan } from '../testing.fixture.ts';
import { checkFolds, foldsOf, foldViews, scansOfFold, withFolds } from './folds.ts';

const recipe = (folds: number, seed = 1) =>
  parseRecipe(
    recipeText(['x']).replace('task: detection', `split: { val: 0.2, seed: ${seed} }\nfolds: ${folds}`),
    'test',
  );

/** 60 patients with 1 to 3 scans each, in train, val and test; some scans have no label. */
const scans = Array.from({ length: 60 }, (_, p) => p).flatMap((p) =>
  Array.from({ length: 1 + (p % 3) }, (_, k) => ({
    ...scan(`${p % 5 === 0 ? 'val' : p % 7 === 0 ? 'test' : 'train'}/s/${p}-${k}`, p === 11 ? null : p % 2),
    patient: `P${p}`,
  })),
);
const development = scans.filter(({ split, label }) => split !== 'test' && label !== null);

test('folds cover every labelled scan of train and val once, keep patients together and hold each class alike', () => {
  const folds = foldsOf(scans, recipe(5))!;
  expect([...folds.keys()].sort()).toEqual(development.map(({ key }) => key).sort());
  expect(new Set(folds.values())).toEqual(new Set([1, 2, 3, 4, 5]));
  const ofPatient = new Map<string, Set<number>>();
  for (const { key, patient } of development)
    ofPatient.set(patient, (ofPatient.get(patient) ?? new Set()).add(folds.get(key)!));
  expect([...ofPatient.values()].every((each) => each.size === 1)).toBe(true);
  for (const label of [0, 1]) {
    const ofClass = development.filter((each) => each.label === label);
    const counts = [1, 2, 3, 4, 5].map((f) => ofClass.filter(({ key }) => folds.get(key) === f).length);
    // A patient has up to 3 scans, so that no fold is further than that from an equal share.
    for (const count of counts) expect(Math.abs(count - ofClass.length / 5)).toBeLessThanOrEqual(3);
  }
});

test('the order of scans changes no fold, the seed does', () => {
  const sorted = (folds: ReadonlyMap<string, number>) => [...folds].sort();
  expect(sorted(foldsOf([...scans].reverse(), recipe(5))!)).toEqual(sorted(foldsOf(scans, recipe(5))!));
  expect(sorted(foldsOf(scans, recipe(5, 2))!)).not.toEqual(sorted(foldsOf(scans, recipe(5))!));
  expect(foldsOf(scans, parseRecipe(recipeText(['x']), 'test'))).toBeUndefined();
});

test('over all folds each scan is validated once and trained on in all other folds; test scans stay', () => {
  const folded = withFolds(scans, foldsOf(scans, recipe(4)));
  const views = [1, 2, 3, 4].map((fold) => scansOfFold(folded, fold));
  const times = (key: string, split: string) =>
    views.filter((view) => view.some((each) => each.key === key && each.split === split)).length;
  for (const { key } of development) expect([times(key, 'val'), times(key, 'train')]).toEqual([1, 3]);
  for (const view of views)
    expect(view.filter(({ split }) => split === 'test').map(({ key }) => key)).toEqual(
      scans.filter(({ split }) => split === 'test').map(({ key }) => key),
    );
  const trained = new Set(views[0]!.filter(({ split }) => split === 'train').map(({ patient }) => patient));
  expect(views[0]!.some(({ split, patient }) => split === 'val' && trained.has(patient))).toBe(false);
});

test('the members of a fold see its splits; without folds the scans are as they are', () => {
  const one = [
    { ...scan('train/a', 0), fold: 1 },
    { ...scan('val/b', 1), fold: 2 },
  ];
  const views = foldViews([{ members: ['x', 'y', 'z'], scans: one, folds: { x: 2, y: 1, z: 2 } }]);
  expect(views.map(({ fold, members, scans }) => [fold, members, scans.map(({ split }) => split)])).toEqual([
    [1, ['y'], ['val', 'train']],
    [2, ['x', 'z'], ['train', 'val']],
  ]);
  expect(foldViews([{ members: ['x'], scans: one }])).toEqual([{ members: ['x'], scans: one }]);
});

describe('checks', () => {
  const about = { root: '/data', classes: ['mild', 'severe'], folds: 2 };
  const check = (scans: [label: number, fold: number, volume?: null][]) =>
    checkFolds(
      [
        {
          members: ['x', 'y'],
          scans: scans.map(([label, fold, volume], i) => ({ ...scan(`train/${i}`, label, volume), fold })),
          folds: { x: 1, y: 2 },
        },
      ],
      about,
    );

  it('names the sizes of the folds, and folds without a class', () => {
    expect(check([[0, 1], [1, 1], [0, 2], [1, 2]])).toEqual([
      '2 folds by patient of the 4 scans for training and validation, of 2, 2 scans: column fold of splits.csv',
    ]); // prettier-ignore
    expect(checkFolds([{ members: ['x'], scans: [] }], { ...about, folds: undefined })).toEqual([]);
    const three = [1, 2, 3].flatMap((fold) => [0, 1].map((label) => ({ label, fold })));
    const scans = three
      .filter(({ label, fold }) => label === 0 || fold !== 3)
      .map(({ label, fold }, i) => ({ ...scan(`train/${i}`, label), fold }));
    const members = ['x', 'y', 'z'];
    const notes = checkFolds([{ members, scans, folds: { x: 1, y: 2, z: 3 } }], { ...about, folds: 3 });
    expect(notes).toEqual([
      expect.stringContaining('of 2, 2, 1 scans'),
      expect.stringMatching(/^fold 3 has no scan of severe: the macro F1 on this fold/),
    ]);
  });

  it('refuses a class of which no scan could be prepared; a class without scans is none of its business', () => {
    expect(() => check([[0, 1], [1, 1, null], [0, 2], [1, 2, null]])).toThrow(
      '/data: the class severe has no scan left for training and validation: none of its 2 could be prepared → ' +
        'mend or remove the scans; the first of them, train/1: no slice of it can be decoded',
    ); // prettier-ignore
    expect(
      check([
        [0, 1],
        [0, 2],
      ]),
    ).toHaveLength(1);
  });

  it('refuses a fold without usable scans, and a class that one fold has alone', () => {
    expect(() => check([[0, 1], [1, 1], [0, 2, null]])).toThrow(
      '/data: no scan of fold 2 could be prepared → lower the number of folds in the recipe, or add scans',
    ); // prettier-ignore
    expect(() => check([[0, 1], [1, 1], [0, 2]])).toThrow(
      '/data: a member of fold 1 would be trained without any scan of class severe: all usable ones are in this fold',
    ); // prettier-ignore
  });
});
