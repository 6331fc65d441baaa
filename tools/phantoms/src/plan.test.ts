import {
  countsOf,
  DEFAULT_COUNTS,
  FINDINGS,
  findingsOf,
  gradeOf,
  GROUPS,
  LAYOUTS,
  planScans,
} from './plan.ts';

test('40 scans are the default: 24 to train, 10 to validate, 6 to test; every small number works', () => {
  expect(DEFAULT_COUNTS).toEqual({
    train: { covid: 12, 'non-covid': 12 },
    val: { covid: 5, 'non-covid': 5 },
    test: { covid: 3, 'non-covid': 3 },
  });
  for (const scans of [6, 7, 10, 41, 333]) {
    const all = Object.values(countsOf(scans)).flatMap((of) => Object.values(of));
    expect(all.reduce((a, b) => a + b)).toBe(scans);
    expect(Math.min(...all)).toBeGreaterThan(0);
  }
});

test('the number of slices does not depend on the class', () => {
  const plan = planScans(3, { ...DEFAULT_COUNTS, train: { covid: 200, 'non-covid': 200 } });
  for (const split of ['train', 'validation', 'test']) {
    const lengths = (label: string) =>
      plan.filter((scan) => scan.split === split && scan.class === label).map(({ slices }) => slices);
    expect(lengths('covid')).toEqual(lengths('non-covid'));
  }
  const lengths = plan.map(({ slices }) => slices);
  expect([Math.min(...lengths), Math.max(...lengths)]).toEqual([20, 60]);
});

test('some patients have two scans, none in two splits or classes', () => {
  const plan = planScans(1, DEFAULT_COUNTS);
  const patients = [...new Set(plan.map(({ patient }) => patient))];
  const scansOf = patients.map((patient) => plan.filter((scan) => scan.patient === patient));
  expect(new Set(scansOf.map((scans) => scans.length))).toEqual(new Set([1, 2]));
  for (const scans of scansOf)
    expect(new Set(scans.map((scan) => `${scan.split}/${scan.class}`)).size).toBe(1);
});

test('names of test scans are all different and their numbers mix the classes', () => {
  const seeds = [1, 2, 3, 4, 5, 6, 7, 8];
  const firstClass = seeds.map((seed) => {
    const test = planScans(seed, DEFAULT_COUNTS).filter(({ split }) => split === 'test');
    expect(test.map(({ name }) => name).sort()).toEqual([0, 1, 2, 3, 4, 5].map((i) => `test_ct_scan_${i}`));
    return test.find(({ name }) => name === 'test_ct_scan_0')?.class;
  });
  expect(new Set(firstClass).size).toBe(2);
});

test('the grade follows from the affected fraction; a bound belongs to the higher grade', () => {
  const fractions = [0, 0.0999, 0.1, 0.2499, 0.25, 0.4999, 0.5, 1];
  expect(fractions.map(gradeOf)).toEqual([1, 1, 2, 2, 3, 3, 4, 4]);
});

test('any number of classes gets equal counts; three of 20 scans have 12 to train, 5 to validate, 3 to test', () => {
  const three = countsOf(60, ['normal', 'covid', 'tumor']);
  expect(Object.values(three.train)).toEqual([12, 12, 12]);
  expect(Object.values(three.val)).toEqual([5, 5, 5]);
  expect(Object.values(three.test)).toEqual([3, 3, 3]);
  for (const scans of [9, 10, 11, 61, 100]) {
    const all = Object.values(countsOf(scans, ['a', 'b', 'c'])).flatMap((of) => Object.values(of));
    expect(all.reduce((a, b) => a + b)).toBe(scans);
    expect(Math.min(...all)).toBeGreaterThan(0);
  }
});

test('classes take the findings in their order, except the two of COV19-CT-DB', () => {
  expect(findingsOf(['normal', 'covid', 'tumor'])).toEqual(['healthy', 'ground-glass', 'masses']);
  expect(findingsOf([...'abcdefgh'])).toEqual([...FINDINGS]);
  expect(findingsOf(['non-covid', 'covid'])).toEqual(['non-covid', 'covid']);
});

test('with three classes and in every layout, paths are unique, patients stay within a split, hospitals mix classes', () => {
  const classes = ['normal', 'covid', 'tumor'];
  const counts = countsOf(60, classes);
  const plans = LAYOUTS.map((layout) => planScans(4, counts, { classes, layout }));
  for (const plan of plans) {
    expect(new Set(plan.map(({ path }) => path)).size).toBe(60);
    // The layout changes the paths and nothing else.
    const facts = (scans: typeof plan) => scans.map((scan) => ({ ...scan, path: '' }));
    expect(facts(plan)).toEqual(facts(plans[0]!));
  }
  const splitsOf = new Map<string, Set<string>>();
  for (const { patient, split } of plans[0]!)
    splitsOf.set(patient, (splitsOf.get(patient) ?? new Set()).add(split));
  expect([...splitsOf.values()].every((splits) => splits.size === 1)).toBe(true);
  expect(splitsOf.size).toBe(48);
  for (const group of GROUPS) {
    const there = plans[0]!.filter((scan) => scan.group === group);
    expect(new Set(there.map((scan) => scan.class)).size).toBe(3);
    expect(new Set(there.map(({ patient }) => patient)).size).toBe(16);
  }
});
