import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseRecipe } from '../recipes/load.ts';
import { recipeText, scan } from '../testing.fixture.ts';
import { classTable, type DatasetChoice, openDataset, splitsTable } from './dataset.ts';

const withTask = parseRecipe(recipeText(['x']), 'test');
const recipe = (lines: string) => parseRecipe(recipeText(['x']).replace('task: detection', lines), 'test');

/** Eight scans in class folders, and a table that names the classes otherwise. */
async function dataset(): Promise<{ data: string; labels: string }> {
  const data = await mkdtemp(join(tmpdir(), 'ct-ensemble-dataset-'));
  const scans = ['a', 'b'].flatMap((name) => [1, 2, 3, 4].map((k) => `${name}/${k}`));
  for (const path of scans) {
    await mkdir(join(data, path), { recursive: true });
    for (let k = 0; k < 6; k++) await writeFile(join(data, path, `${k}.jpg`), `${path} ${k}`);
  }
  const labels = join(data, 'scans.csv');
  const rows = scans.map((path, i) => `${path},"class, ${i % 2}",P${i}`);
  await writeFile(labels, ['scan,label,patient', ...rows].join('\n'));
  return { data, labels };
}

const split = 'split: { val: 0.25, test: 0.25, seed: 1 }';

test('the layout: the option, else table with --labels, else the recipe, else by task', async () => {
  const { data, labels } = await dataset();
  const layoutOf = async (lines: string, choice: DatasetChoice = {}) =>
    (await openDataset({ data, recipe: recipe(lines), ...choice })).layout;
  expect(await layoutOf(split)).toBe('folders');
  expect(await layoutOf(split, { labels })).toBe('table');
  expect(await layoutOf(`${split}\nlayout: folders`, { labels })).toBe('table');
  expect(await layoutOf(`${split}\nlayout: unlabelled`)).toBe('unlabelled');
  expect(await layoutOf(`${split}\nlayout: unlabelled`, { layout: 'folders' })).toBe('folders');
  await expect(openDataset({ data, recipe: withTask })).rejects.toThrow(
    /lay it out as <root>\/\{train,val\}\/\{covid/,
  );
  await expect(openDataset({ data, recipe: withTask, labels })).rejects.toThrow(
    /8 rows with an unknown label: line 2 'class, 0'.* → write one of the recipe's classes non-covid, covid, or take a recipe for other classes/,
  );
});

test('options that contradict each other are refused', async () => {
  const { data, labels } = await dataset();
  const open = (choice: DatasetChoice) => openDataset({ data, recipe: recipe(split), ...choice });
  await expect(open({ labels, layout: 'folders' })).rejects.toThrow(
    /--labels: the layout folders reads no table/,
  );
  await expect(open({ layout: 'table' })).rejects.toThrow(/needs a table of scans → name it with --labels/);
  await expect(open({ columns: { scan: 'x' } })).rejects.toThrow(
    /--scan-column names a column, but there is no table/,
  );
  await expect(open({ layout: 'nowhere' })).rejects.toThrow(/no layout "nowhere"/);
});

test('class weights that are not one for each class of the data are refused', async () => {
  const { data } = await dataset();
  const text = recipeText(['x']).replace('task: detection', split);
  const open = (weights: string) =>
    openDataset({
      data,
      recipe: parseRecipe(text.replace('gamma: 1.5', `gamma: 1.5, classWeights: ${weights}`), 'test'),
    });
  expect((await open('[1, 2]')).classes).toEqual(['a', 'b']);
  await expect(open('[1, 2, 3]')).rejects.toThrow(
    /training\.loss\.classWeights has 3 numbers, but the data set has 2 classes: a, b → give a number for each class/,
  );
});

test('splits.csv has every scan; with folds, the fold of each scan that is not for test', async () => {
  const { data, labels } = await dataset();
  const plain = recipe(split);
  const index = await openDataset({ data, recipe: plain, labels });
  expect(index.classes).toEqual(['class, 0', 'class, 1']);
  const lines = splitsTable(index, plain).trimEnd().split('\n');
  expect(lines[0]).toBe('scan,label,patient,split');
  expect(lines).toHaveLength(9);
  for (const { key, label, patient, split } of index.scans)
    expect(lines).toContain(`${key},"class, ${label}",${patient},${split}`);
  const folded = splitsTable(index, recipe(`${split}\nfolds: 2`))
    .trimEnd()
    .split('\n')
    .slice(1);
  const folds = folded.map((line) => line.split(',').slice(-2));
  expect(folds.filter(([split]) => split === 'test').every(([, fold]) => fold === '')).toBe(true);
  expect(
    folds
      .filter(([split]) => split !== 'test')
      .map(([, fold]) => fold)
      .sort(),
  ).toEqual(['1', '1', '1', '2', '2', '2']);
});

describe('the table of classes', () => {
  const scans = (counts: number[]) =>
    counts.flatMap((count, label) =>
      Array.from({ length: count }, (_, i) => scan(`train/${label}/${i}`, label)),
    );
  const about = { classes: ['well', 'very sick'], training: withTask.training };

  test('has every class, split and failed scan', () => {
    const all = [...scans([3, 1]), scan('val/1/a', 1), scan('test/x', null), scan('test/y', 1, null)];
    expect(classTable(all, about).split('\n')).toEqual([
      'scans      train  val  test',
      'well           3    0     0',
      'very sick      1    1     0',
      'no label       0    0     1',
      'failed         0    0     1',
    ]);
  });

  test('names an imbalance of more than three to one, with the remedy', () => {
    expect(
      classTable(scans([7, 2]), about)
        .split('\n')
        .at(-1),
    ).toBe(
      'The training scans are imbalanced: well (7) against very sick (2); ' +
        'training.loss.classWeights: inverse-frequency in the recipe weights them.',
    );
    expect(classTable(scans([6, 2]), about)).not.toMatch(/imbalanced/);
    const loss = (classWeights: 'none' | 'inverse-frequency') => ({ ...about.training.loss, classWeights });
    const lastLine = (classWeights: 'none' | 'inverse-frequency') => {
      const training = { ...about.training, loss: loss(classWeights) };
      return classTable(scans([7, 2]), { ...about, training })
        .split('\n')
        .at(-1);
    };
    expect(lastLine('none')).toMatch(/inverse-frequency in the recipe weights them\.$/);
    expect(lastLine('inverse-frequency')).toMatch(/; the recipe sets training\.loss\.classWeights\.$/);
  });
});
