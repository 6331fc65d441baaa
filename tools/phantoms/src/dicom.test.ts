// Checks the DICOM files with an independent parser: PS3.5 7.1.2, explicit VR little endian, no sequences.
import { randomStream } from '@ct-ensemble/core';

import { dicomFile, seriesHeader, uidFrom } from './dicom.ts';
import { planScans } from './plan.ts';
import type { RenderedSlice } from './render.ts';

const COUNTS = {
  train: { normal: 4, covid: 0 },
  val: { normal: 0, covid: 0 },
  test: { normal: 0, covid: 1 },
};
const plan = planScans(9, COUNTS, { classes: ['normal', 'covid'], layout: 'table' });
const SIZE = 3;
const slice: RenderedSlice = {
  hu: Int16Array.of(-1150, -1024, -1000, -500, 0, 350, 1000, 2000, -3000),
  geometry: { z: 12.34567, pixel: 2.5, spacing: 6.000049, thickness: 5 },
  grey: new Uint8Array(9),
  mask: new Uint8Array(9),
  lungPixels: 0,
  affectedPixels: 0,
};

interface Element {
  vr: string;
  bytes: Buffer;
}

function parse(file: Uint8Array) {
  const bytes = Buffer.from(file);
  expect(bytes.subarray(0, 128).every((byte) => byte === 0)).toBe(true);
  expect(bytes.toString('latin1', 128, 132)).toBe('DICM');
  const elements = new Map<string, Element>();
  let at = 132;
  let last = '';
  while (at < bytes.length) {
    const hex = (offset: number) => bytes.readUInt16LE(offset).toString(16).padStart(4, '0').toUpperCase();
    const tag = hex(at) + hex(at + 2);
    expect(tag > last).toBe(true);
    last = tag;
    const vr = bytes.toString('latin1', at + 4, at + 6);
    const long = ['OB', 'OW'].includes(vr);
    const length = long ? bytes.readUInt32LE(at + 8) : bytes.readUInt16LE(at + 6);
    expect(length % 2).toBe(0);
    at += long ? 12 : 8;
    elements.set(tag, { vr, bytes: bytes.subarray(at, at + length) });
    at += length;
  }
  expect(at).toBe(bytes.length);
  const text = (tag: string) =>
    elements
      .get(tag)
      ?.bytes.toString('latin1')
      .replace(/[\0 ]$/, '');
  const word = (tag: string) => elements.get(tag)?.bytes.readUInt16LE(0);
  return { elements, text, word, length: bytes.length };
}

const fileOf = (scan = plan[0]!, k = 0, seed = 9) =>
  dicomFile(seriesHeader(seed, scan), slice, { k, size: SIZE });

test('a slice has the attributes of CT Image Storage and its position in the patient', () => {
  const { elements, text, word, length } = parse(fileOf(plan[0], 4));
  expect(text('00020002')).toBe('1.2.840.10008.5.1.4.1.1.2');
  expect(text('00020010')).toBe('1.2.840.10008.1.2.1');
  expect(text('00020003')).toBe(text('00080018'));
  // The group length counts the bytes between itself and the data set.
  const metaEnd = 132 + 12 + elements.get('00020000')!.bytes.readUInt32LE(0);
  expect(Buffer.from(fileOf(plan[0], 4)).readUInt16LE(metaEnd)).toBe(0x0008);
  expect(metaEnd).toBeLessThan(length);
  expect(text('00080008')).toBe('ORIGINAL\\PRIMARY\\AXIAL');
  expect(text('00080016')).toBe('1.2.840.10008.5.1.4.1.1.2');
  expect(text('00080060')).toBe('CT');
  expect(text('00100020')).toBe(plan[0]!.patient);
  expect(text('00200013')).toBe('5');
  expect([word('00280010'), word('00280011'), word('00280002')]).toEqual([SIZE, SIZE, 1]);
  expect(['00280100', '00280101', '00280102', '00280103'].map(word)).toEqual([16, 16, 15, 1]);
  expect(text('00280030')).toBe('2.5\\2.5');
  expect(text('00180050')).toBe('5');
  expect(text('00180088')).toBe('6');
  expect(text('00200037')).toBe('1\\0\\0\\0\\1\\0');
  // The centre of the first of three pixels lies one pixel from the middle; z grows to the head.
  expect(text('00200032')).toBe('-2.5\\-2.5\\-12.3457');
  for (const tag of ['0020000D', '0020000E', '00200052', '00080018'])
    expect(text(tag)).toMatch(/^2\.25\.[1-9]\d{0,38}$/);
  // Type 2 attributes are present, but may be empty.
  for (const tag of ['00080020', '00080030', '00080050', '00080090', '00100010', '00100030', '00100040'])
    expect(elements.has(tag)).toBe(true);
});

test('stored values times slope plus intercept are the Hounsfield units, and the window is that of COV19-CT-DB', () => {
  const { elements, text } = parse(fileOf());
  const { vr, bytes } = elements.get('7FE00010')!;
  const hu = Array.from({ length: SIZE * SIZE }, (_, i) => {
    return bytes.readInt16LE(2 * i) * Number(text('00281053')) + Number(text('00281052'));
  });
  expect(vr).toBe('OW');
  expect(bytes.length).toBe(2 * SIZE * SIZE);
  expect(hu).toEqual([...slice.hu]);
  const [centre, width] = [Number(text('00281050')), Number(text('00281051'))];
  expect([centre - width / 2, centre + width / 2]).toEqual([-1150, 350]);
});

test('UIDs: slices share study, series and frame of reference; scans of a patient share the patient only', () => {
  const first = parse(fileOf(plan[2]));
  const second = parse(fileOf(plan[2], 1));
  const again = parse(fileOf(plan[3]));
  const shared = ['00100020', '00100010', '00100030', '00100040', '00080080'];
  const series = ['0020000D', '0020000E', '00200052'];
  for (const tag of [...shared, ...series]) expect(second.text(tag)).toBe(first.text(tag));
  expect(second.text('00080018')).not.toBe(first.text('00080018'));
  expect(plan[3]!.patient).toBe(plan[2]!.patient);
  for (const tag of shared) expect(again.text(tag)).toBe(first.text(tag));
  for (const tag of series) expect(again.text(tag)).not.toBe(first.text(tag));
  expect(again.text('00080020')! > first.text('00080020')!).toBe(true);
});

test('the same seed gives the same bytes, another seed other UIDs', () => {
  expect(Buffer.from(fileOf()).equals(Buffer.from(fileOf()))).toBe(true);
  expect(parse(fileOf(plan[0], 0, 10)).text('0020000E')).not.toBe(parse(fileOf()).text('0020000E'));
});

test('a UID is a UUID of version 4 in decimal digits', () => {
  for (let sample = 0; sample < 50; sample++) {
    const uid = uidFrom(randomStream({ seed: 1, purpose: 'test', sample }));
    const hex = BigInt(uid.replace('2.25.', '')).toString(16).padStart(32, '0');
    expect(hex).toMatch(/^[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}$/);
  }
});

test('no attribute contains a class name', () => {
  for (const scan of plan) {
    const text = Buffer.from(fileOf(scan)).toString('latin1').toLowerCase();
    for (const word of ['normal', 'covid', 'healthy', 'ground']) expect(text).not.toContain(word);
  }
});
