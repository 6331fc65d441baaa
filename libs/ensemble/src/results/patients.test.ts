import { writeFile } from 'node:fs/promises';
import { splitsFile } from '../run-folder.ts';
import { temporaryRun } from '../testing.fixture.ts';
import { labelled, patientOf, readPatients } from './patients.ts';

const withTable = async (text: string) => {
  const run = await temporaryRun();
  await writeFile(splitsFile(run), text);
  return run;
};

test('patients by scan; a scan without one is absent, and never shares its name with a patient', async () => {
  const run = await withTable(
    'scan,label,patient,split\n"a,1",covid,P 1,train\nb,covid,,val\nc,covid,b,val\n',
  );
  const patients = await readPatients(run);
  expect([...patients]).toEqual([
    ['a,1', 'P 1'],
    ['c', 'b'],
  ]);
  expect(['a,1', 'b', 'c'].map((key) => patientOf(patients, key))).toEqual([
    'patient P 1',
    'scan b',
    'patient b',
  ]);
});

test('runs without the file have no patients; a file without the columns is one clear error', async () => {
  expect([...(await readPatients(await temporaryRun()))]).toEqual([]);
  const run = await withTable('scan,label\na,covid\n');
  await expect(readPatients(run)).rejects.toThrow(
    /splits\.csv: has no columns scan and patient → start the training of this run again/,
  );
});

test('labelled scans only, with their patients; null if there are none', () => {
  const p = (labels: (number | null)[]) => ({
    classes: ['x', 'y'],
    split: 'val' as const,
    scans: labels.map((label, i) => ({ key: `s${i}`, name: `s${i}`, label })),
    rows: labels.map(() => [0.25, 0.75]),
    failed: [],
  });
  const patients = new Map([['s0', 'P'], ['s2', 'P']]); // prettier-ignore
  expect(labelled(p([0, null, 1, 1]), patients)).toMatchObject({ scans: 3, patientCount: 2 });
  expect(labelled(p([null]), patients)).toBeNull();
});
