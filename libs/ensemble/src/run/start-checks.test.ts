import { parseRecipe } from '../recipes/load.ts';
import { recipeText, scan } from '../testing.fixture.ts';
import { parseDevices } from './devices.ts';
import { checkBeforePreparation, checkPrepared, startNotes } from './start-checks.ts';

const recipe = parseRecipe(recipeText(['x']), 'test'); // 4 × 16 × 16, batches of 4
const devices = parseDevices('cpu:1', 1, { cores: 1, gpus: 0 });
const classes = ['non-covid', 'covid'];
const train = [0, 1, 2, 3, 4].map((k) => scan(`train/a/${k}`, k % 2));
const val = [scan('val/non-covid/p', 0), scan('val/covid/q', 1)];
const index = (...scans: ReturnType<typeof scan>[]) => ({
  root: 'data',
  scans: [...train, ...val, ...scans],
});

describe('before the preparation', () => {
  test.each([['P01, follow-up'], ['patient'], ['Patient'], [' left'], ['say "b"'], ['two\nlines']])(
    'the test scan %j is refused, as no submission file can hold its name',
    (name) => {
      const scans = index(scan('test/good', null), scan(`test/${name}`, null));
      expect(() => checkBeforePreparation({ recipe, devices, index: scans })).toThrow(
        `the name of a scan of split test cannot stand in a submission file: ${JSON.stringify(name)} → rename`,
      );
    },
  );

  test('all names are listed, those of validation scans only if there are no test scans', () => {
    const named = scan('val/covid/a,b', 1);
    expect(() => checkBeforePreparation({ recipe, devices, index: index(named, scan('val/covid/patient', 1)) }))
      .toThrow('the names of 2 scans of split val cannot stand in a submission file: "a,b", "patient"'); // prettier-ignore
    checkBeforePreparation({ recipe, devices, index: index(named, scan('test/good', null)) });
  });

  test('a batch that exceeds the memory is refused, with all other problems', () => {
    // The largest batch: 4 of the training scans as float32.
    const bytes = 4 * (4 * 16 * 16) * 4;
    const options = { recipe, devices, index: index() };
    checkBeforePreparation({ ...options, memory: bytes });
    expect(() => checkBeforePreparation({ ...options, memory: bytes - 1 })).toThrow(
      /data: a batch \(4 × 4 × 16 × 16\) takes 0\.0 GiB as float32, more than the memory of .* → lower training\.batchSize/,
    );
    expect(() =>
      checkBeforePreparation({ recipe, devices, index: index(scan('test/a,b', null)), memory: 1 }),
    ).toThrow(/^data: 2 problems\n {2}the name of a scan.*"a,b".*\n {2}a batch/);
  });

  test('a batch has no more scans than there are, and one micro-batch with accumulate', () => {
    const withTraining = (fields: Partial<typeof recipe.training>) => ({
      ...recipe,
      training: { ...recipe.training, ...fields },
    });
    const volume = 4 * 16 * 16 * 4;
    const check = (batch: Partial<typeof recipe.training>, memory: number) =>
      checkBeforePreparation({ recipe: withTraining(batch), devices, index: index(), memory });
    check({ batchSize: 4096 }, 5 * volume);
    expect(() => check({ batchSize: 4096 }, 5 * volume - 1)).toThrow('a batch (5 ×');
    check({ batchSize: 4, accumulate: 2 }, 2 * volume);
  });
});

describe('after the preparation', () => {
  const broken = (key: string, label: number | null) => scan(key, label, null);
  const check = (...scans: ReturnType<typeof scan>[]) =>
    checkPrepared({ root: 'data', classes, scans: [{ members: ['x'], scans }] });

  test('a split that is lost and a class that is lost in train or val are refused together', () => {
    check(...train, ...val);
    check(...train, ...val, broken('train/covid/z', 1), broken('test/t', null), scan('test/u', null));
    expect(() => check(scan('train/a', 0), broken('train/b', 1), broken('train/c', 1), ...val)).toThrow(
      'data: the class covid has no scan left in split train: none of its 2 scans could be prepared → ' +
        'mend or remove the scans; the first of them, train/b: no slice of it can be decoded',
    );
    expect(() => check(...train, scan('val/a', 1), broken('val/b', 0), broken('test/c', null))).toThrow(
      /2 problems\n {2}the class non-covid has no scan left in split val: its only scan could not be prepared.*\n {2}no scan of split test could be prepared/,
    );
    expect(() => check(...train)).toThrow(
      /no scan of split val could be prepared → add scans to the split val/,
    );
  });

  test('scans that only the mask of one member breaks count for that member', () => {
    const scans = [
      { members: ['x'], scans: [...train, ...val] },
      { members: ['y'], scans: [...train, broken('val/non-covid/p', 0), val[1]!] },
    ];
    expect(() => checkPrepared({ root: 'data', classes, scans })).toThrow(
      'the class non-covid has no scan left in split val',
    );
    expect(startNotes(recipe, scans)).toEqual(['val: 1 of 2 scans could not be prepared: val/non-covid/p']);
  });

  test('a line for each split that lost scans, with the first names', () => {
    const lost = Array.from({ length: 7 }, (_, k) => broken(`train/b/${k}`, 1));
    const scans = [{ members: ['x'], scans: [...train, ...lost, ...val, broken('test/t', null)] }];
    expect(startNotes(recipe, scans)).toEqual([
      'train: 7 of 12 scans could not be prepared: train/b/0, train/b/1, train/b/2, train/b/3, train/b/4 and 2 more',
      'test: 1 of 1 scans could not be prepared: test/t',
    ]);
  });

  test('a batch larger than the training data is reported', () => {
    const scans = [{ members: ['x'], scans: [...train, ...val] }];
    const large = { ...recipe, training: { ...recipe.training, batchSize: 32 } };
    expect(startNotes(recipe, scans)).toEqual([]);
    expect(startNotes(large, scans)).toEqual([
      'training.batchSize is 32, but there are 5 training scans: each epoch is one step of 5 scans',
    ]);
  });
});
