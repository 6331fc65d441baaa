// A scan's files, read into memory once so that several volumes can be prepared from them.
import { stat } from 'node:fs/promises';
import { mapConcurrent } from '../concurrent.ts';
import { readSliceFiles, type SliceFile } from '../readers/slice-source.ts';
import type { ScanEntry } from '../scan-entry.ts';
import type { SliceSurvey } from './survey.ts';

/** A file's size in bytes, its modification time and its status-change time (both in ms); null if it does not exist. */
export type FileState = readonly [size: number, modified: number, changed: number] | null;

export interface OpenedScan {
  files: SliceFile[];
  /** The state of each file just before it was read, in the order of `files`. */
  states: FileState[];
  /** Surveys of the slices, shared by preparations that ask the same of them; the keys are made by `prepareOpened`. */
  surveys: Map<string, Promise<SliceSurvey>>;
}

/** Reads a scan's files. A file that cannot be read does not throw: its `problem` says why. */
export async function openScan(scan: Pick<ScanEntry, 'slices'>): Promise<OpenedScan> {
  const states = await mapConcurrent(scan.slices, 16, stateOf);
  return { states, files: await readSliceFiles(scan.slices), surveys: new Map() };
}

export async function stateOf(file: string): Promise<FileState> {
  try {
    const { size, mtimeMs, ctimeMs } = await stat(file);
    return [size, mtimeMs, ctimeMs];
  } catch {
    return null;
  }
}
