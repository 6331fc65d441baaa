// Which images make a scan, and in which order: series that contradict themselves are taken apart, joined or refused, and
// it is always reported.
import { dicomBytes, sliceElements, words, type SliceElements } from './dicom.fixture.ts';
import { openSlices } from '../slice-source.ts';
import { readDicomSeries, type DicomFile } from './dicom.ts';

const heights = [0, 2, 4, 6, 8];
const same: SliceElements = {
  StudyInstanceUID: '1.2',
  FrameOfReferenceUID: '1.9',
  RescaleIntercept: '0',
};

/** A slice at z whose samples are all `value`. */
const slice = (
  name: string,
  [z, value]: [z: number, value: number],
  changes: SliceElements = {},
): DicomFile => ({
  path: `scan/${name}`,
  bytes: dicomBytes(
    sliceElements(z, { ...same, PixelData: words(...Array<number>(6).fill(value)), ...changes }),
  ),
});
const read = async (files: readonly DicomFile[]) =>
  (await readDicomSeries(files)).map(({ slices, findings, spacing }) => ({
    values: slices.map(({ data }) => data[0]),
    distance: spacing?.slices,
    kinds: findings.map(({ kind }) => kind),
    messages: findings.map(({ message }) => message),
  }));
const open = (files: readonly DicomFile[]) =>
  openSlices(
    { format: 'dicom', slices: files.map(({ path }) => path) },
    files.map(({ bytes }) => ({ bytes, problem: null })),
  );

/** Two acquisitions of the same heights, the second `offset` mm higher; values 0, 1, 2, … and 100, 101, 102, … */
const twoAcquisitions = (offset: number, changes: (acquisition: number, i: number) => SliceElements) =>
  heights.flatMap((z, i) => [
    slice(`a${i}`, [z, i], changes(1, i)),
    slice(`b${i}`, [z + offset, 100 + i], changes(2, i)),
  ]);

describe('two acquisitions under one SeriesInstanceUID', () => {
  test.each([0, 0.8, 1])('%d mm apart are two scans', async (offset) => {
    const scans = await read(
      twoAcquisitions(offset, (AcquisitionNumber, i) => ({
        AcquisitionNumber: `${AcquisitionNumber}`,
        InstanceNumber: `${i}`,
      })),
    );
    expect(scans.map(({ values, distance, kinds }) => [values, distance, kinds])).toEqual([
      [[4, 3, 2, 1, 0], 2, ['several-acquisitions']],
      [[104, 103, 102, 101, 100], 2, ['several-acquisitions']],
    ]);
    expect(scans[0]!.messages[0]).toMatch(
      /AcquisitionNumber \(0020,0012\) 1; 2; it is read as 2 scans, of 5, 5 slices/,
    );
  });

  test('whatever their files are called', async () => {
    const files = twoAcquisitions(0, (acquisition, i) => ({
      AcquisitionNumber: `${acquisition}`,
      InstanceNumber: `${i}`,
    }));
    const renamed = files.map(({ bytes }, i) => ({ path: `scan/${(i * 7) % 10}`, bytes }));
    const values = (await read(renamed)).map((scan) => scan.values);
    expect(values).toEqual([
      [4, 3, 2, 1, 0],
      [104, 103, 102, 101, 100],
    ]);
  });

  test('that lie beside each other are one scan', async () => {
    const files = [0, 1, 2, 3, 4, 5].map((i) =>
      slice(`${i}`, [2 * i, i], { AcquisitionNumber: `${i >> 1}` }),
    );
    expect(await read(files)).toMatchObject([{ values: [5, 4, 3, 2, 1, 0], kinds: [] }]);
  });

  test('two runs of a table that moves step by step are two scans', async () => {
    const files = [0, 1].flatMap((run) =>
      [0, 1, 2, 3, 4, 5].map((i) =>
        slice(`${run}${i}`, [2 * i, 100 * run + i], { AcquisitionNumber: `${3 * run + (i >> 1)}` }),
      ),
    );
    expect((await read(files)).map(({ values }) => values)).toEqual([
      [5, 4, 3, 2, 1, 0],
      [105, 104, 103, 102, 101, 100],
    ]);
  });

  test.each<[string, (part: number) => SliceElements]>([
    ['ConvolutionKernel (0018,1210)', (part) => ({ ConvolutionKernel: part === 1 ? 'LUNG' : 'SOFT' })],
    ['SliceThickness (0018,0050)', (part) => ({ SliceThickness: `${part}` })],
    [
      'ImageType (0008,0008)',
      (part) => ({ ImageType: part === 1 ? 'ORIGINAL\\PRIMARY\\AXIAL' : 'DERIVED\\SECONDARY' }),
    ],
  ])('without AcquisitionNumber, by %s', async (field, changes) => {
    const scans = await read(twoAcquisitions(0, changes));
    expect(scans.map(({ values }) => values)).toEqual([
      [4, 3, 2, 1, 0],
      [104, 103, 102, 101, 100],
    ]);
    expect(scans[0]!.messages[0]).toContain(`differ in ${field}; it is read as 2 scans`);
    const apart = await read(twoAcquisitions(0.8, changes));
    expect(apart.map(({ values }) => values)).toEqual(scans.map(({ values }) => values));
  });

  test('that nothing tells apart are reported as unevenly spaced', async () => {
    const scans = await read(twoAcquisitions(1.4, () => ({})));
    expect(scans).toMatchObject([{ kinds: ['uneven-positions'] }]);
    expect(scans[0]!.messages[0]).toMatch(/of down to 0\.6 mm/);
  });

  test('copies of files are left out and make no second scan', async () => {
    const files = heights.flatMap((z, i) => [slice(`${i}`, [z, i]), slice(`${i} copy`, [z, i])]);
    expect(await read(files)).toMatchObject([{ values: [4, 3, 2, 1, 0], kinds: ['duplicate-positions'] }]);
  });

  test('the longest is the scan', async () => {
    const files = twoAcquisitions(0, (AcquisitionNumber) => ({ AcquisitionNumber: `${AcquisitionNumber}` }));
    const source = await open(files.slice(1));
    expect(source.count).toBe(5);
    expect(source.findings.map(({ kind }) => kind)).toEqual([
      'several-series',
      'several-acquisitions',
      'implausible-values', // the slices are flat
    ]);
  });
});

test.each<[string, SliceElements, SliceElements]>([
  ['StudyInstanceUID (0020,000D)', { StudyInstanceUID: '1.3' }, {}],
  ['FrameOfReferenceUID (0020,0052)', { FrameOfReferenceUID: '1.8' }, {}],
  ['ImageOrientationPatient (0020,0037)', { ImageOrientationPatient: '1\\0\\0\\0\\0.95\\0.3122' }, {}],
])('%s differs within a series: two scans', async (field, changes) => {
  const files = [
    ...heights.map((z, i) => slice(`a${i}`, [z, i])),
    ...heights.slice(1).map((z, i) => slice(`b${i}`, [z + 0.7, 100 + i], changes)),
  ];
  const scans = await read(files);
  expect(scans.map(({ values }) => values.toSorted((a, b) => a! - b!))).toEqual([
    [0, 1, 2, 3, 4],
    [100, 101, 102, 103],
  ]);
  expect(scans[0]!.messages[0]).toContain(
    `${field} differs within the series; it is read as 2 scans, of 5, 4 slices`,
  );
});

test('a FrameOfReferenceUID of its own for every image says nothing, and is reported', async () => {
  const files = heights.map((z, i) => slice(`${i}`, [z, i], { FrameOfReferenceUID: `1.9.${i}` }));
  expect(await read(files)).toMatchObject([{ values: [4, 3, 2, 1, 0], kinds: ['uid-per-image'] }]);
});

describe('a SeriesInstanceUID for every image', () => {
  const own = (changes: (i: number) => SliceElements = () => ({})) =>
    heights.map((z, i) => slice(`${i}`, [z, i], { SeriesInstanceUID: `1.2.3.${i}`, ...changes(i) }));

  test('is one scan if study, frame of reference, size, spacing and orientation agree', async () => {
    expect(await read(own())).toMatchObject([
      { values: [4, 3, 2, 1, 0], distance: 2, kinds: ['series-per-image'] },
    ]);
  });

  test.each<[string, (i: number) => SliceElements]>([
    ['another study each', (i) => ({ StudyInstanceUID: `1.2.${i}` })],
    ['another frame of reference each', (i) => ({ FrameOfReferenceUID: `1.9.${i}` })],
    ['no frame of reference', () => ({ FrameOfReferenceUID: undefined })],
  ])('is one scan with %s if the positions are evenly spaced', async (_, changes) => {
    const [scan, ...others] = await read(own(changes));
    expect(others).toEqual([]);
    expect(scan).toMatchObject({ values: [4, 3, 2, 1, 0], distance: 2 });
    expect(scan!.kinds).toContain('series-per-image');
    const uneven = heights.map((z, i) =>
      slice(`${i}`, [z + (i === 2 ? 0.5 : 0), i], { SeriesInstanceUID: `1.2.3.${i}`, ...changes(i) }),
    );
    expect(await read(uneven)).toHaveLength(5);
  });

  test.each<[string, (i: number) => SliceElements]>([
    ['the patient', (i) => ({ PatientID: `P${i}` })],
    ['the spacing', (i) => ({ PixelSpacing: `${i + 1}\\1` })],
    ['nothing but the position, which is one', () => ({ ImagePositionPatient: '0\\0\\0' })],
  ])('is no scan if the images differ in %s', async (_, changes) => {
    expect(await read(own(changes))).toHaveLength(5);
    await expect(open(own(changes))).rejects.toThrow(
      /scan\/0: only 1 of 5 DICOM files is a slice of the scan/,
    );
  });
});

describe('one position for all slices', () => {
  const at = (changes: (i: number) => SliceElements) =>
    heights.map((_, i) => slice(`${i}`, [0, i], { ImagePositionPatient: '0\\0\\0', ...changes(i) }));

  test('ordered by SliceLocation, whatever InstanceNumber says', async () => {
    const files = at((i) => ({ SliceLocation: `${-2.5 * i}`, InstanceNumber: `${9 - i}` }));
    expect(await read(files)).toMatchObject([
      { values: [0, 1, 2, 3, 4], distance: 2.5, kinds: ['one-position'] },
    ]);
  });

  test('else by InstanceNumber', async () => {
    const [scan] = await read(at((i) => ({ InstanceNumber: `${9 - i}` })));
    expect(scan).toMatchObject({ values: [4, 3, 2, 1, 0], kinds: ['one-position'] });
    expect(scan!.messages[0]).toMatch(
      /InstanceNumber \(0020,0013\), which may run from head to feet or back/,
    );
  });

  test('which they do have, by SliceLocation too: no scan', async () => {
    const files = at((i) => ({ SliceLocation: '7', InstanceNumber: `${i}` }));
    expect(await read(files)).toMatchObject([{ values: [0], kinds: ['duplicate-positions'] }]);
    await expect(open(files)).rejects.toThrow(/only 1 of 5 DICOM files .*another is at the same position/);
  });

  test('all zeros, SliceLocation too: by InstanceNumber', async () => {
    const files = at((i) => ({ SliceLocation: '0', InstanceNumber: `${9 - i}` }));
    expect(await read(files)).toMatchObject([{ values: [4, 3, 2, 1, 0], kinds: ['one-position'] }]);
  });

  test('all but one: by SliceLocation', async () => {
    const files = at((i) => ({
      SliceLocation: `${-2.5 * i}`,
      ...(i === 3 && { ImagePositionPatient: '0\\0\\50' }),
    }));
    expect(await read(files)).toMatchObject([{ values: [0, 1, 2, 3, 4], kinds: ['one-position'] }]);
  });

  test('frames of one file are in the order of the file', async () => {
    const PixelData = words(...[5, 7, 6].flatMap((value) => Array<number>(6).fill(value)));
    const [scan] = await read([slice('frames', [0, 0], { NumberOfFrames: '3', PixelData })]);
    expect(scan).toMatchObject({ values: [5, 7, 6], kinds: ['one-position'] });
  });
});

describe('images that do not belong to the scan', () => {
  const scan = heights.map((z, i) => slice(`${i}`, [z, i], { InstanceNumber: `${9 - i}` }));

  test('one without a position is left out, and the order stays', async () => {
    const files = [...scan, slice('lost', [0, 99], { ImagePositionPatient: undefined, InstanceNumber: '5' })];
    const [only] = await read(files);
    expect(only).toMatchObject({ values: [4, 3, 2, 1, 0], kinds: ['no-position'] });
    expect(only!.messages).toEqual(['1 slice without ImagePositionPatient (0020,0032) left out: lost']);
  });

  test('saved screens, by their image type or SOP class', async () => {
    const bare = { ImagePositionPatient: undefined, ImageOrientationPatient: undefined };
    const dose = slice('dose', [0, 99], { ...bare, ImageType: 'DERIVED\\SECONDARY\\SCREEN SAVE' });
    const page = slice('page', [0, 99], { ...bare, SOPClassUID: '1.2.840.10008.5.1.4.1.1.7' });
    const [only, ...others] = await read([...scan, dose, page]);
    expect(others).toEqual([]);
    expect(only).toMatchObject({ values: [4, 3, 2, 1, 0], kinds: ['saved-screens', 'not-axial'] });
    expect(only!.messages.join()).toMatch(/Secondary Captures.*: page,.*dose \(a saved screen\)/);
  });

  test('a scan of Secondary Captures only is read', async () => {
    const files = heights.map((z, i) => slice(`${i}`, [z, i], { SOPClassUID: '1.2.840.10008.5.1.4.1.1.7' }));
    expect(await read(files)).toMatchObject([{ values: [4, 3, 2, 1, 0], kinds: [] }]);
  });

  test('a localizer beside a single slice does not make it a failure, four cut files do', async () => {
    const localizer = slice('topogram', [0, 9], { ImageType: 'ORIGINAL\\PRIMARY\\LOCALIZER' });
    expect((await open([scan[0]!, localizer])).count).toBe(1);
    const cut = scan.map(({ path, bytes }, i) => ({ path, bytes: i === 0 ? bytes : bytes.slice(0, -4) }));
    await expect(open(cut)).rejects.toThrow(/only 1 of 5 DICOM files .*is cut short/);
  });
});

describe('slices without positions', () => {
  const lost = (changes: (i: number) => SliceElements) =>
    heights.map((z, i) =>
      slice(`${i}`, [z, i], { ImagePositionPatient: undefined, InstanceNumber: `${i}`, ...changes(i) }),
    );

  test('ordered by SliceLocation, whatever InstanceNumber says', async () => {
    const files = lost((i) => ({ SliceLocation: `${2.5 * i}` }));
    expect(await read(files)).toMatchObject([
      { values: [4, 3, 2, 1, 0], distance: 2.5, kinds: ['no-positions'] },
    ]);
  });

  test('by InstanceNumber, in the direction of the few that have a position', async () => {
    const rising = lost((i) => (i === 1 || i === 3 ? { ImagePositionPatient: `0\\0\\${i}` } : {}));
    const [scan] = await read(rising);
    expect(scan).toMatchObject({ values: [4, 3, 2, 1, 0], kinds: ['no-positions'] });
    expect(scan!.messages[0]).toMatch(/which runs from feet to head by the 2 slices that have a position/);
    const [unknown] = await read(lost(() => ({})));
    expect(unknown!.messages[0]).toMatch(/which may run from head to feet or back/);
    expect(unknown!.values).toEqual([0, 1, 2, 3, 4]);
  });
});

test.each([
  ['KVP', '0018,0060', ['80', '140']],
  ['TemporalPositionIdentifier', '0020,0100', ['1', '2']],
  ['SeriesDescription', '0008,103E', ['LUNG', 'SOFT']],
  ['ContentTime', '0008,0033', ['100000', '100500']],
] as const)('%s tells two scans at the same positions apart', async (field, tag, values) => {
  const files = values.flatMap((value, k) =>
    heights.map((z, i) => slice(`${value}${i}`, [z, 10 * k + i], { [field]: value })),
  );
  const scans = await read(files);
  expect(scans.map((scan) => scan.values)).toEqual([
    [4, 3, 2, 1, 0],
    [14, 13, 12, 11, 10],
  ]);
  expect(scans[0]!.messages.join()).toContain(`and differ in ${field} (${tag})`);
});

test('InstanceNumbers that repeat at different positions are reported', async () => {
  const files = [0, 1].flatMap((k) =>
    heights.map((z, i) => slice(`${k} ${i}`, [z + k, 10 * k + i], { InstanceNumber: `${i}` })),
  );
  expect(await read(files)).toMatchObject([{ kinds: ['repeated-numbers'] }]);
});
