// What the thread of the networks is told and what it answers; plain data.
import type { PreparedInMemory, ScanEntry } from '@ct-ensemble/data';
import type { Device, EngineKind } from '@ct-ensemble/engine';
import type { Manifest } from '../ensemble-file/manifest.ts';

/** What the thread starts with. */
export interface NetworkStart {
  file: string;
  manifest: Manifest;
  /** All bytes of the ensemble file. */
  buffer: ArrayBuffer;
  /** Where each file of weights lies in it. */
  weights: { name: string; offset: number; length: number }[];
  engine: EngineKind;
  device: Device;
}

export type NetworkRequest =
  | { id: number; kind: 'prepare'; scan: ScanEntry }
  /** `scans[i][v]`: the bytes of volume v of scan i. */
  | { id: number; kind: 'predict'; scans: Uint8Array[][]; batchSize: number }
  | { id: number; kind: 'close' };

/** [scans][members][classes], softmax outputs. */
export type MemberRows = number[][][];

export interface NetworkResults {
  prepare: PreparedInMemory;
  predict: MemberRows;
  close: null;
}

/** An error in the other thread; a UserError keeps its parts. */
export interface SentError {
  message: string;
  user?: { problem: string; file?: string | undefined; remedy?: string | undefined };
}

export type NetworkReply =
  | { kind: 'opened'; engine: string }
  | { kind: 'not-opened'; error: SentError }
  | { kind: 'result'; id: number; result: NetworkResults[NetworkRequest['kind']] }
  | { kind: 'error'; id: number; error: SentError };
