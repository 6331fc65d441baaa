// An ensemble that answers scans: the library behind evaluator:predict. Nothing here is global; a process may open several.
import { messageOf, usableCores, UserError } from '@ct-ensemble/core';
import {
  contentOfScan,
  findScans,
  openPreparer,
  type PreparedInMemory,
  type Preparer,
  type ScanEntry,
  type ValuesChoice,
} from '@ct-ensemble/data';
import type { Device, EngineKind } from '@ct-ensemble/engine';
import { type ScanFinding, unlikeTraining } from '../ensemble-file/likeness.ts';
import { type EnsembleFile, loadEnsembleFile } from '../ensemble-file/load.ts';
import type { Manifest } from '../ensemble-file/manifest.ts';
import { deviceName, parseDevices, thisMachine } from '../run/devices.ts';
import { type Answer, type Answered, numbersOf, type Unanswered } from './answers.ts';
import { type LaunchedThread, launchNetworks, type NetworkThread } from './network-thread.ts';

export interface OpenEnsembleOptions {
  /**
   * `gpu:0` (the first GPU), `cpu:2` (two CPU threads) or `auto`: the first GPU, or else the CPU with all usable cores. The number
   * of CPU threads belongs to the process: the first engine that is opened decides about it for all.
   */
  device?: string;
  /** `tensorflow`, the default, or `cpu`: tfjs's own CPU backend, which is hundreds of times slower. */
  engine?: EngineKind;
  /** Worker threads that prepare scans. Default: as many as there are cores, 4 at most. */
  preparationThreads?: number;
  /** What the numbers in the files of all scans are, see `parseValues` of libs/data. Default: as in the training. */
  values?: ValuesChoice;
  /** Seconds after which the preparation of a scan is stopped; without effect if a network takes part in it. Default 600. */
  deadline?: number;
}

export interface PredictOptions {
  /**
   * Scans of a batch. Default 1: each scan is computed on its own, and its answer depends on no other scan. `run`: as many as when the
   * run predicted its test scans; its scans in its order then give its probabilities bit for bit on the same kind of machine.
   */
  batchSize?: number | 'run';
  /** Share of conformal sets that may miss the true class; one of the file's, see `Ensemble.alphas`. Default 0.1. */
  alpha?: number;
  /** Answers have the prepared volumes. Default: false. */
  volumes?: boolean;
  /** When it is aborted, the loop ends with the signal's reason after the scans in progress. */
  signal?: AbortSignal;
}

/** A path, see `findScans`, or a scan that was found. */
export type ScanSource = string | ScanEntry;

export interface Ensemble {
  /** Identifies the ensemble: SHA-256 of the file's manifest. */
  readonly id: string;
  readonly manifest: Manifest;
  /** Class names in label order, that of all probabilities. */
  readonly classes: readonly string[];
  /** Names of the members, in the order of `Answered.members`. */
  readonly members: readonly string[];
  /** The values that `PredictOptions.alpha` may have. */
  readonly alphas: readonly number[];
  /** Library and device that compute, such as `TensorFlow 2.21.0 on CPU:0`. */
  readonly engine: string;
  /** The device as in `OpenEnsembleOptions`. */
  readonly device: string;
  /**
   * Answers scans in their order, one after the other; the next ones are prepared meanwhile. A path may hold several scans. A scan that
   * cannot be read, prepared or computed is an answer with a failure.
   * @throws {UserError} for a table of scans that cannot be read or an option that is not allowed; an Error if the thread of the
   *   networks ended or the ensemble is closed.
   */
  predict(
    scans: Iterable<ScanSource> | AsyncIterable<ScanSource>,
    options?: PredictOptions,
  ): AsyncGenerator<Answer, void>;
  /** `Answer.content` of a scan, from the bytes of its files. Nothing is decoded. */
  contentOf(scan: ScanEntry): Promise<string | null>;
  /** Frees memory and ends all threads. Answers in progress fail. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens an ensemble file: checks its digests, starts a thread with an engine of its own and loads all members into it.
 * @throws {UserError} if the file is missing, damaged or of another version, or the device is not there.
 */
export async function openEnsemble(file: string, options: OpenEnsembleOptions = {}): Promise<Ensemble> {
  const device = deviceOf(options.device ?? 'auto', options.engine ?? 'tensorflow');
  const thread = launchNetworks(); // It loads its modules while the file is read and checked here.
  let loaded: EnsembleFile;
  try {
    loaded = await loadEnsembleFile(file);
    requireComputable(loaded, { device, engine: options.engine });
  } catch (error) {
    await thread.abandon();
    throw error;
  }
  return openLoaded(loaded, { ...options, device, thread });
}

function requireComputable(
  { file, manifest }: EnsembleFile,
  { device, engine = 'tensorflow' }: { device: Device; engine: EngineKind | undefined },
) {
  if (manifest.engine.precision === 'mixed-float16' && device.kind === 'cpu' && engine === 'tensorflow')
    throw new UserError('its members compute with mixed-float16, which is for GPUs only', {
      file,
      remedy: 'predict on a GPU with --device gpu:0',
    });
}

/** The buffer of the file is moved away: the entries cannot be used afterwards. */
async function openLoaded(
  { file, id, manifest: packed, buffer, entries }: EnsembleFile,
  options: Omit<OpenEnsembleOptions, 'device'> & { device: Device; thread: LaunchedThread },
): Promise<Ensemble> {
  const { device, thread, engine: kind = 'tensorflow', deadline, values } = options;
  const manifest = values === undefined ? packed : withValues(packed, values);
  const { preparationThreads = Math.min(4, usableCores()) } = options;
  const preparations = manifest.preparation.volumes;
  const { filter, segmenter } = manifest.preparation;
  // Its threads, too, load their modules while the networks are built.
  const threads =
    filter === null && segmenter === null
      ? openPreparer({
          preparations,
          threads: preparationThreads,
          ...(deadline !== undefined && { deadline }),
        })
      : null;
  const starting = thread.start({
    file,
    manifest,
    buffer: buffer.buffer as ArrayBuffer,
    weights: [...entries].map(([name, bytes]) => ({
      name,
      offset: bytes.byteOffset,
      length: bytes.byteLength,
    })),
    engine: kind,
    device,
  });
  const networks = await starting.catch(async (error: unknown) => {
    await threads?.close();
    throw error;
  });
  const preparer: Preparer = threads ?? {
    prepare: (scan) => networks.ask('prepare', { scan }),
    close: async () => {},
  };
  const close = async () => {
    await preparer.close();
    await networks.close();
  };
  const shared = { id, manifest, networks, preparer, ahead: preparationThreads + 1 };
  return {
    id,
    manifest,
    classes: manifest.classes,
    members: manifest.members.map(({ name }) => name),
    alphas: manifest.calibration.conformal.map(({ alpha }) => alpha),
    engine: networks.engine,
    device: deviceName(device),
    predict: (scans, predictOptions = {}) => predict(shared, scans, predictOptions),
    contentOf: (scan) =>
      contentOfScan(scan, {
        preparation: preparations[0]!,
        networks: {
          ...(filter && { filter: { id: filter.id, keep: unused } }),
          ...(segmenter && { segmenter: { id: segmenter.id, edge: 0, masks: unused } }),
        },
      }),
    close,
    [Symbol.asyncDispose]: close,
  };
}

function withValues(manifest: Manifest, values: ValuesChoice): Manifest {
  const { preparation } = manifest;
  const volumes = preparation.volumes.map((volume) => ({ ...volume, values }));
  return { ...manifest, preparation: { ...preparation, volumes } };
}

const unused = () => Promise.reject(new Error('only the name of the network is needed here'));

function deviceOf(text: string, kind: EngineKind): Device {
  const devices = parseDevices(text, 1, thisMachine(kind));
  if (devices.length !== 1)
    throw new UserError(`--device: ${text} names ${devices.length} devices`, {
      remedy: 'name one, such as gpu:0 or cpu:2; open the file once for each device',
    });
  return devices[0]!;
}

interface Shared {
  id: string;
  manifest: Manifest;
  networks: NetworkThread;
  preparer: Preparer;
  /** Scans that are prepared while others are computed. */
  ahead: number;
}

interface Prepared {
  scan: ScanEntry;
  prepared: PreparedInMemory;
}

async function* predict(
  shared: Shared,
  sources: Iterable<ScanSource> | AsyncIterable<ScanSource>,
  options: PredictOptions,
): AsyncGenerator<Answer, void> {
  const { manifest, ahead } = shared;
  const { batchSize: asked = 1, signal } = options;
  const batchSize = asked === 'run' ? manifest.batches.test : asked;
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new UserError(`batch size: ${batchSize} is not a whole number above zero`);
  requireAlpha(manifest, alphaOf(options));
  const waiting: Promise<Prepared>[] = [];
  const batch: Prepared[] = [];
  /** Prepared scans in order; those of a batch are computed together. */
  const take = async function* (isLast: boolean): AsyncGenerator<Answer, void> {
    while (waiting.length > (isLast ? 0 : ahead + batchSize - 1)) {
      batch.push(await waiting.shift()!);
      const usable = batch.filter(({ prepared }) => prepared.failure === null).length;
      if (usable === batchSize) yield* await answers(shared, batch.splice(0), { ...options, batchSize });
      // One-scan batches: a failed scan waits for nothing.
      else if (batchSize === 1) yield* await answers(shared, batch.splice(0), { ...options, batchSize });
    }
    if (isLast && batch.length > 0) yield* await answers(shared, batch.splice(0), { ...options, batchSize });
  };
  try {
    for await (const source of sources) {
      const scans = typeof source === 'string' ? (await findScans(source)).scans : [source];
      for (const scan of scans) {
        signal?.throwIfAborted();
        waiting.push(prepare(shared.preparer, scan));
        yield* take(false);
      }
    }
    signal?.throwIfAborted();
    yield* take(true);
  } finally {
    await Promise.allSettled(waiting);
  }
}

function prepare(preparer: Preparer, scan: ScanEntry): Promise<Prepared> {
  const prepared = preparer.prepare(scan).catch((error: unknown): PreparedInMemory => ({
    volumes: [],
    failure: messageOf(error),
    content: null,
    slices: 0,
    kept: 0,
    sources: [],
    statistics: null,
    findings: [],
  }));
  return prepared.then((prepared) => ({ scan, prepared }));
}

const alphaOf = ({ alpha = 0.1 }: PredictOptions) => alpha;

function requireAlpha({ calibration }: Manifest, alpha: number) {
  const alphas = calibration.conformal.map((rule) => rule.alpha);
  if (!alphas.includes(alpha))
    throw new UserError(`alpha: the ensemble has no conformal threshold for ${alpha}`, {
      remedy: `choose one of ${alphas.join(', ')}`,
    });
}

async function answers(
  { id, manifest, networks }: Shared,
  batch: readonly Prepared[],
  options: PredictOptions & { batchSize: number },
): Promise<Answer[]> {
  const { batchSize, volumes: withVolumes = false } = options;
  const usable = batch.filter(({ prepared }) => prepared.failure === null);
  // Volumes that the answers carry are copied to the other thread, not moved.
  const scans = usable.map(({ prepared }) => prepared.volumes.map(({ data }) => data));
  const computed =
    scans.length === 0
      ? { rows: [] }
      : await networks.ask('predict', { scans, batchSize }).then(
          (rows) => ({ rows }),
          (error: unknown) => ({ error }),
        );
  if ('error' in computed && !networks.isOpen()) throw computed.error;
  return batch.map(({ scan, prepared }): Answer => {
    const { content, findings } = prepared;
    const noticed: ScanFinding[] = [
      // The finding of a scan that cannot be read repeats its failure.
      ...findings
        .filter(({ kind }) => prepared.failure === null || kind !== 'unreadable-scan')
        .map(({ kind, path, message }) => ({
          kind,
          message: message.startsWith(path) ? message : `${path}: ${message}`,
        })),
      ...unlikeTraining(prepared, manifest.training),
    ];
    const about = { scan: scan.key, content, model: id, findings: noticed };
    const failed = (failure: string): Unanswered => ({ ...about, failure });
    if (prepared.failure !== null) return failed(prepared.failure);
    if ('error' in computed) return failed(`the members could not compute it: ${messageOf(computed.error)}`);
    const rows = computed.rows[usable.findIndex((each) => each.scan === scan)]!;
    const wrong = rows.findIndex((row) => !row.every(Number.isFinite));
    if (wrong !== -1)
      return failed(`a probability of the member ${manifest.members[wrong]!.name} is not a finite number`);
    const answered: Answered = {
      ...about,
      failure: null,
      ...numbersOf(rows, manifest, alphaOf(options)),
      members: rows,
      slices: prepared.slices,
      kept: prepared.kept,
    };
    if (withVolumes)
      answered.volumes = prepared.volumes.map((volume, v) => ({ volume, sources: prepared.sources[v]! }));
    return answered;
  });
}
