import { randomStream } from '@ct-ensemble/core';
import { makeFolds, makeSplits, type SplitScan } from './make-splits.ts';

/** A made-up data set: so many classes; patients of one class with one to `most` scans each. */
function dataset(
  seed: number,
  { classes, patients, most }: { classes: number; patients: number; most: number },
) {
  const random = randomStream({ seed, purpose: 'test' });
  const scans: SplitScan[] = [];
  for (let p = 0; p < patients; p++) {
    // The first class has about as many patients as all others together.
    const label = Math.max(0, random.integer(2 * classes) - classes);
    for (let k = random.integer(most) + 1; k > 0; k--)
      scans.push({ key: `${p}/${k}`, patient: p % 7 === 6 ? null : `P${p}`, label });
  }
  return scans;
}

const PARTS = ['train', 'val', 'test'] as const;
const cases = Array.from({ length: 40 }, (_, seed) => ({
  seed,
  classes: 2 + (seed % 4),
  patients: 20 + 5 * seed,
  most: 1 + (seed % 5),
}));

test.each(cases)(
  'data set %j: no patient in two splits, shares within one patient, every class in every split',
  (about) => {
    const scans = dataset(about.seed, about);
    const shares = { train: 0.6, val: 0.2, test: 0.2 };
    const splits = makeSplits(scans, { val: shares.val, test: shares.test, seed: about.seed });
    expect(splits.size).toBe(scans.length);
    const patientOf = ({ patient, key }: SplitScan) => patient ?? key;
    const ofPatient = new Map<string, string>();
    for (const scan of scans) {
      const split = splits.get(scan.key)!;
      expect(ofPatient.get(patientOf(scan)) ?? split).toBe(split);
      ofPatient.set(patientOf(scan), split);
    }
    for (let label = 0; label < about.classes; label++) {
      const ofClass = scans.filter((scan) => scan.label === label);
      const sizes = new Map<string, number>();
      for (const scan of ofClass) sizes.set(patientOf(scan), (sizes.get(patientOf(scan)) ?? 0) + 1);
      const greatest = Math.max(...sizes.values());
      for (const part of PARTS) {
        const count = ofClass.filter(({ key }) => splits.get(key) === part).length;
        if (sizes.size >= 3) expect(count).toBeGreaterThan(0);
        // With few patients a class must leave its shares to be in every split.
        if (sizes.size >= 8) expect(Math.abs(count - shares[part] * ofClass.length)).toBeLessThan(greatest);
      }
    }
  },
);

test.each(cases.slice(0, 16))(
  'data set %j with patients of several classes: classes of many patients are in every split',
  (about) => {
    const random = randomStream({ seed: about.seed, purpose: 'mixed' });
    const scans = Array.from({ length: 12 * about.patients }, (_, i): SplitScan => {
      const patient = `P${random.integer(3 * about.patients)}`;
      return { key: `${i}`, patient, label: random.integer(about.classes) };
    });
    const splits = makeSplits(scans, { val: 0.2, test: 0.2, seed: 1 });
    const ofPatient = new Map<string, string>();
    for (const { key, patient } of scans) {
      expect(ofPatient.get(patient!) ?? splits.get(key)).toBe(splits.get(key));
      ofPatient.set(patient!, splits.get(key)!);
    }
    for (let label = 0; label < about.classes; label++) {
      const ofClass = scans.filter((scan) => scan.label === label);
      for (const part of PARTS) {
        const share = ofClass.filter(({ key }) => splits.get(key) === part).length / ofClass.length;
        expect(Math.abs(share - (part === 'train' ? 0.6 : 0.2))).toBeLessThan(0.1);
      }
    }
  },
);

test('the order of the scans changes nothing; the seed does', () => {
  const scans = dataset(1, { classes: 3, patients: 60, most: 3 });
  const shares = { val: 0.2, test: 0.2, seed: 1 };
  const splits = makeSplits(scans, shares);
  for (let turn = 1; turn < scans.length; turn += 17) {
    const turned = [...scans.slice(turn), ...scans.slice(0, turn)].reverse();
    expect(new Map(makeSplits(turned, shares))).toEqual(new Map(splits));
  }
  expect(new Map(makeSplits(scans, { ...shares, seed: 2 }))).not.toEqual(new Map(splits));
});

test('few patients: one is for training, two for training and validation, three for all', () => {
  const of = (count: number) => {
    const scans = Array.from({ length: count }, (_, i) => ({ key: `${i}`, patient: null, label: 0 }));
    return [...makeSplits(scans, { val: 0.2, test: 0.2, seed: 1 }).values()].sort();
  };
  expect(of(1)).toEqual(['train']);
  expect(of(2)).toEqual(['train', 'val']);
  expect(of(3)).toEqual(['test', 'train', 'val']);
  expect(of(10).filter((split) => split === 'train')).toHaveLength(6);
});

test('without a test share nothing is for test, but scans without a label and all scans of their patient', () => {
  const scans = dataset(2, { classes: 2, patients: 30, most: 2 });
  const none = makeSplits(scans, { val: 0.3, test: 0, seed: 1 });
  expect(new Set(none.values())).toEqual(new Set(['train', 'val']));
  const more = [...scans, { key: 'new', patient: scans[0]!.patient, label: null }];
  const some = makeSplits(more, { val: 0.3, test: 0, seed: 1 });
  const inTest = [...some].filter(([, split]) => split === 'test').map(([key]) => key);
  expect(inTest.sort()).toEqual(
    more
      .filter(({ patient }) => patient === scans[0]!.patient)
      .map(({ key }) => key)
      .sort(),
  );
});

test('patients named like properties of every object are ordinary', () => {
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
  const scans = names.flatMap((patient) =>
    [1, 2].map((k) => ({ key: `${patient}/${k}`, patient, label: 0 })),
  );
  const splits = makeSplits(scans, { val: 0.25, test: 0.25, seed: 1 });
  for (const name of names) expect(splits.get(`${name}/1`)).toBe(splits.get(`${name}/2`));
  expect(new Set(splits.values()).size).toBe(3);
});

test.each(cases.slice(0, 12))(
  'folds of data set %j: by patient, sizes within one patient, every class in every fold',
  (about) => {
    const scans = [...dataset(about.seed, about), { key: 'x', patient: null, label: null }];
    const folds = makeFolds(scans, { folds: 4, seed: 1 });
    expect(folds.has('x')).toBe(false);
    expect(folds.size).toBe(scans.length - 1);
    const ofPatient = new Map<string, number>();
    for (const { key, patient } of scans.slice(0, -1)) {
      const fold = folds.get(key)!;
      expect([1, 2, 3, 4]).toContain(fold);
      if (patient === null) continue;
      expect(ofPatient.get(patient) ?? fold).toBe(fold);
      ofPatient.set(patient, fold);
    }
    for (let label = 0; label < about.classes; label++) {
      const ofClass = scans.filter((scan) => scan.label === label);
      const patients = new Set(ofClass.map(({ patient, key }) => patient ?? key)).size;
      if (patients < 8) continue;
      const counts = [1, 2, 3, 4].map((fold) => ofClass.filter(({ key }) => folds.get(key) === fold).length);
      for (const count of counts) expect(Math.abs(count - ofClass.length / 4)).toBeLessThan(about.most);
      expect(Math.min(...counts)).toBeGreaterThan(0);
    }
  },
);
