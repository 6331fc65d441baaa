// DICOM files of phantom CT slices: CT Image Storage, uncompressed, Explicit VR Little Endian (DICOM PS3.3 A.3, PS3.10).
import { randomStream, type RandomStream } from '@ct-ensemble/core';
import dcmjs, { type Dataset } from 'dcmjs';

import type { PlannedScan } from './plan.ts';
import type { RenderedSlice } from './render.ts';

const CT_IMAGE_STORAGE = '1.2.840.10008.5.1.4.1.1.2';
const EXPLICIT_LITTLE_ENDIAN = '1.2.840.10008.1.2.1';
/** Identifies this writer: a UUID as a UID. */
const IMPLEMENTATION = '2.25.245458862713654621622562649001597969781';

/** Stored value = HU + 1024, in signed words so that no value below −1024 is cut off. */
const INTERCEPT = -1024;

const STATION_NAMES: Record<string, string> = {
  northfield: 'Northfield Hospital',
  easton: 'Easton Clinic',
  westbrook: 'Westbrook Medical Centre',
};

/** What all slices of a series share. */
export interface SeriesHeader {
  elements: Dataset;
  seed: number;
  key: string;
}

/** Nothing in the header depends on the class. All identifiers and dates are made up from the seed. */
export function seriesHeader(seed: number, scan: PlannedScan): SeriesHeader {
  const uid = (purpose: string) =>
    uidFrom(randomStream({ seed, purpose: `uid ${purpose}`, sample: scan.key }));
  const { date, time, birth, sex } = examinationOf(seed, scan);
  const number = Number(scan.patient.slice(1));
  const elements: Dataset = {
    '00080008': { vr: 'CS', Value: ['ORIGINAL', 'PRIMARY', 'AXIAL'] },
    '00080016': { vr: 'UI', Value: [CT_IMAGE_STORAGE] },
    '00080020': { vr: 'DA', Value: [date] },
    '00080021': { vr: 'DA', Value: [date] },
    '00080022': { vr: 'DA', Value: [date] },
    '00080023': { vr: 'DA', Value: [date] },
    '00080030': { vr: 'TM', Value: [time] },
    '00080031': { vr: 'TM', Value: [time] },
    '00080032': { vr: 'TM', Value: [time] },
    '00080033': { vr: 'TM', Value: [time] },
    '00080050': { vr: 'SH', Value: [`A${number}-${scan.examination}`] },
    '00080060': { vr: 'CS', Value: ['CT'] },
    '00080070': { vr: 'LO', Value: ['Phantom'] },
    '00080080': { vr: 'LO', Value: [STATION_NAMES[scan.group] ?? scan.group] },
    '00080090': { vr: 'PN', Value: [] },
    '00081030': { vr: 'LO', Value: ['CT chest'] },
    '0008103E': { vr: 'LO', Value: ['Chest axial'] },
    '00100010': { vr: 'PN', Value: [`Phantom^${scan.patient}`] },
    '00100020': { vr: 'LO', Value: [scan.patient] },
    '00100030': { vr: 'DA', Value: [birth] },
    '00100040': { vr: 'CS', Value: [sex] },
    '00180060': { vr: 'DS', Value: ['120'] },
    '00185100': { vr: 'CS', Value: ['HFS'] },
    '0020000D': { vr: 'UI', Value: [uid('study')] },
    '0020000E': { vr: 'UI', Value: [uid('series')] },
    '00200010': { vr: 'SH', Value: [String(scan.examination)] },
    '00200011': { vr: 'IS', Value: ['1'] },
    '00200012': { vr: 'IS', Value: ['1'] },
    '00200037': { vr: 'DS', Value: ['1', '0', '0', '0', '1', '0'] },
    '00200052': { vr: 'UI', Value: [uid('frame of reference')] },
    '00201040': { vr: 'LO', Value: [] },
    '00280002': { vr: 'US', Value: [1] },
    '00280004': { vr: 'CS', Value: ['MONOCHROME2'] },
    '00280100': { vr: 'US', Value: [16] },
    '00280101': { vr: 'US', Value: [16] },
    '00280102': { vr: 'US', Value: [15] },
    '00280103': { vr: 'US', Value: [1] },
    '00281050': { vr: 'DS', Value: ['-400'] },
    '00281051': { vr: 'DS', Value: ['1500'] },
    '00281052': { vr: 'DS', Value: [String(INTERCEPT)] },
    '00281053': { vr: 'DS', Value: ['1'] },
    '00281054': { vr: 'LO', Value: ['HU'] },
  };
  return { elements, seed, key: scan.key };
}

/** The file of slice `k`, counted from 0 at the head; `slice` is `size` × `size`. */
export function dicomFile(
  header: SeriesHeader,
  slice: RenderedSlice,
  { k, size }: { k: number; size: number },
): Uint8Array {
  const { z, pixel, spacing, thickness } = slice.geometry;
  const instance = uidFrom(
    randomStream({ seed: header.seed, purpose: 'uid instance', sample: `${header.key}/${k}` }),
  );
  // Patient coordinates (LPS) in mm: x to the patient's left, y to the back, z to the head.
  const corner = decimal(-((size - 1) / 2) * pixel);
  const height = decimal(-z);
  const file = new dcmjs.data.DicomDict({
    '00020001': { vr: 'OB', Value: [Uint8Array.of(0, 1).buffer] },
    '00020002': { vr: 'UI', Value: [CT_IMAGE_STORAGE] },
    '00020003': { vr: 'UI', Value: [instance] },
    '00020010': { vr: 'UI', Value: [EXPLICIT_LITTLE_ENDIAN] },
    '00020012': { vr: 'UI', Value: [IMPLEMENTATION] },
    '00020013': { vr: 'SH', Value: ['CT_PHANTOMS_1'] },
  });
  file.dict = {
    ...header.elements,
    '00080018': { vr: 'UI', Value: [instance] },
    '00180050': { vr: 'DS', Value: [decimal(thickness)] },
    '00180088': { vr: 'DS', Value: [decimal(spacing)] },
    '00200013': { vr: 'IS', Value: [String(k + 1)] },
    '00200032': { vr: 'DS', Value: [corner, corner, height] },
    '00201041': { vr: 'DS', Value: [height] },
    '00280010': { vr: 'US', Value: [size] },
    '00280011': { vr: 'US', Value: [size] },
    '00280030': { vr: 'DS', Value: [decimal(pixel), decimal(pixel)] },
    '7FE00010': { vr: 'OW', Value: [storedWords(slice.hu)] },
  };
  return new Uint8Array(file.write());
}

/** Little endian on every machine. */
function storedWords(hu: Int16Array): ArrayBuffer {
  const words = new DataView(new ArrayBuffer(2 * hu.length));
  for (let i = 0; i < hu.length; i++) words.setInt16(2 * i, hu[i]! - INTERCEPT, true);
  return words.buffer;
}

/** A UID below 2.25 (PS3.5 B.2): a random UUID of version 4 as one decimal number. */
export function uidFrom(random: RandomStream): string {
  const bits = Array.from({ length: 4 }, () => BigInt(random.bits()));
  const number = bits.reduce((all, word) => (all << 32n) | word, 0n);
  const version = (number & ~(0xfn << 76n)) | (4n << 76n);
  return `2.25.${(version & ~(3n << 62n)) | (2n << 62n)}`;
}

/** At most 16 characters, as the value representation DS demands. */
const decimal = (value: number) => String(Number(value.toFixed(4)));

/** Examinations of a patient are a few weeks apart. */
function examinationOf(seed: number, { patient, examination }: PlannedScan) {
  const random = randomStream({ seed, purpose: 'examination', sample: patient });
  const day = random.integer(700) + (examination - 1) * (14 + random.integer(60));
  const birth = Date.UTC(1935 + random.integer(65), random.integer(12), 1 + random.integer(28));
  const sex = random.integer(2) === 0 ? 'F' : 'M';
  const minutes = 7 * 60 + random.integer(11 * 60);
  const two = (number: number) => String(number).padStart(2, '0');
  return {
    date: dateText(Date.UTC(2020, 0, 1 + day)),
    time: `${two(Math.floor(minutes / 60))}${two(minutes % 60)}00`,
    birth: dateText(birth),
    sex,
  };
}

const dateText = (milliseconds: number) =>
  new Date(milliseconds).toISOString().slice(0, 10).replaceAll('-', '');
