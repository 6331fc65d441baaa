// Measures a case: starts both sides, compares the values of their first steps, lets them take turns, and computes the medians of
// the pairs' ratios.
import { UserError } from '@ct-ensemble/core';
import type { Case, Quantity, Target } from './cases.ts';
import type { Settings } from './settings.ts';
import type { OpenSide, Side, Turn } from './side.ts';
import { mean, median, quantile } from './statistics.ts';

/** A value of this project and of its peer. */
export interface Pair<T = number> {
  here: T;
  peer: T;
}

/** One ratio of a case; `here` and `peer` are the medians of both sides, in seconds or bytes. */
export interface Measurement extends Pair {
  quantity: Quantity;
  ratio: number;
  /** First and third quartile of the pairs' ratios; null if there is only one pair. */
  quartiles: [number, number] | null;
  pairs: number;
  target: Target | null;
  /** Whether the target is met; null if there is none, or if other programs kept the machine too busy to judge. */
  met: boolean | null;
}

/** Everything that was measured of a case. */
export interface CaseResult {
  name: string;
  what: string;
  libraries: Pair<string>;
  settings: Pair<Settings>;
  /** Number type of convolutions and matrix products. */
  compute: Pair<string>;
  stepsPerTurn: number;
  /** Values of the first and of the last step: losses, or probabilities. */
  first: Pair<number[]>;
  last: Pair<number[]>;
  /** Seconds of each turn, or of each start. */
  seconds: Pair[];
  measurements: Measurement[];
  /** Share of the machine's CPU time that other programs took during the counted turns, 0 … 1. */
  others: number;
  /** What could not be measured, and why. */
  unmeasured: string[];
}

type Log = (line: string) => void;

/** Number of turns before counting starts: the first steps are slower on both sides. */
const warmUp = 2;

/** If other programs take a larger share of the CPUs, times are not judged, since libraries are affected by it differently. */
const tolerableOthers = 0.1;

/**
 * Measures a case; `open` starts a side, `log` receives lines about the progress.
 * @throws {UserError} if the values of the first steps differ, or a later step gives a value that is not finite.
 */
export async function measureCase(benchCase: Case, open: OpenSide, log: Log = () => {}): Promise<CaseResult> {
  const starts = benchCase.reports.some(({ quantity }) => quantity === 'start');
  return starts ? measureStarts(benchCase, open, log) : measureSteps(benchCase, open, log);
}

async function measureSteps(benchCase: Case, open: OpenSide, log: Log): Promise<CaseResult> {
  const { name, pairs, stepsPerTurn } = benchCase;
  const opened: Side[] = [];
  const openOne = async (which: keyof Pair) => {
    const side = await open(benchCase[which]);
    opened.push(side);
    log(`${name}: ${which}: ${side.library}, first step ${side.firstStep.seconds.toFixed(1)} s`);
    return side;
  };
  try {
    const sides = { here: await openOne('here'), peer: await openOne('peer') };
    compareFirst(benchCase, sides);
    const turn = (side: Side) => async () => {
      const done = await side.run(stepsPerTurn);
      if (done.values.every(Number.isFinite)) return done;
      throw new UserError(`${name}: ${side.library} gives ${done.values.join(', ')} after its first steps`);
    };
    const both = each(sides, turn);
    await inTurns(warmUp, both, (pair) => log(`${name}: warm-up: ${secondsText(pair)}`));
    const turns = await inTurns(pairs, both, (pair, i) =>
      log(`${name}: pair ${i + 1} of ${pairs}: ${secondsText(pair)}`),
    );
    const isOnGpu = benchCase.here.device.kind === 'gpu';
    const used = each(sides, (side) => (isOnGpu ? side.gpuMemory?.() : null) ?? null);
    const reported = isOnGpu ? { ...benchCase, reports: gpuReports(benchCase.reports) } : benchCase;
    return result(reported, sides, {
      gpuMemory: used.here === null || used.peer === null ? [] : [{ here: used.here, peer: used.peer }],
      step: turns,
      'first step': [each(sides, ({ firstStep }) => firstStep)],
    });
  } finally {
    await Promise.all(opened.map((side) => side.close()));
  }
}

async function measureStarts(benchCase: Case, open: OpenSide, log: Log): Promise<CaseResult> {
  const { name, pairs } = benchCase;
  const start = (settings: Settings) => async () => {
    const side = await open(settings);
    await side.close();
    return side;
  };
  const both = each(benchCase, start);
  const checkAndLog = (what: string) => (sides: Pair<Side>) => {
    compareFirst(benchCase, sides);
    log(`${name}: ${what}: ${secondsText(each(sides, (side) => side.start))}`);
  };
  await inTurns(1, both, checkAndLog('warm-up'));
  const turns = await inTurns(pairs, both, (sides, i) => checkAndLog(`pair ${i + 1} of ${pairs}`)(sides));
  return result(benchCase, turns.at(-1)!, {
    start: turns.map((sides) => each(sides, (side) => side.start)),
    'first step': turns.map((sides) => each(sides, ({ firstStep }) => firstStep)),
  });
}

const secondsText = ({ here, peer }: Pair<Turn>) =>
  `${here.seconds.toFixed(3)} s here, ${peer.seconds.toFixed(3)} s peer`;

/** Lets both sides take turns, each first every other time, so that other load of the machine affects both equally. */
async function inTurns<T>(
  count: number,
  sides: Pair<() => Promise<T>>,
  onPair: (pair: Pair<T>, i: number) => void,
): Promise<Pair<T>[]> {
  const pairs: Pair<T>[] = [];
  for (let i = 0; i < count; i++) {
    const early = i % 2 ? await sides.peer() : undefined;
    const here = await sides.here();
    const pair = { here, peer: early ?? (await sides.peer()) };
    onPair(pair, i);
    pairs.push(pair);
  }
  return pairs;
}

const each = <T, R>({ here, peer }: Pair<T>, of: (value: T) => R): Pair<R> => ({
  here: of(here),
  peer: of(peer),
});

/** The quantities of a case with steps on a GPU: its memory instead of the computer's. */
const gpuReports = (reports: Case['reports']): Case['reports'] => [
  ...reports.filter(({ quantity }) => quantity !== 'peak RSS'),
  { quantity: 'GPU memory' },
];

/** The counted turns, by the quantity that they measure, and the GPU memory of both sides after the last one in bytes. */
type Turns = Partial<Record<Quantity, Pair<Turn>[]>> & { gpuMemory?: Pair[] };

function result(benchCase: Case, sides: Pair<Side>, turns: Turns): CaseResult {
  const { name, what, here, peer, stepsPerTurn, reports } = benchCase;
  const own = turns.step ?? turns.start!;
  const last = own.at(-1)!;
  const others = mean(own.flatMap((pair) => [pair.here.others, pair.peer.others]));
  const pairsOf = (quantity: Quantity): Pair[] => {
    if (quantity === 'peak RSS') return peaks(here, last);
    if (quantity === 'GPU memory') return turns.gpuMemory ?? [];
    const steps = quantity === 'step' ? stepsPerTurn : 1;
    return turns[quantity]!.map((pair) => each(pair, ({ seconds }) => seconds / steps));
  };
  const measurements = reports
    .filter(({ quantity }) => pairsOf(quantity).length > 0)
    .map(({ quantity, target }) => measurement(quantity, pairsOf(quantity), target))
    .map((measured) =>
      !isMemory(measured.quantity) && others > tolerableOthers ? { ...measured, met: null } : measured,
    );
  return {
    name,
    what,
    libraries: each(sides, ({ library }) => library),
    settings: { here, peer },
    compute: each(last, ({ compute }) => compute),
    stepsPerTurn,
    first: each(sides, ({ firstStep }) => firstStep.values),
    last: each(last, ({ values }) => values),
    seconds: own.map((pair) => each(pair, ({ seconds }) => seconds)),
    others,
    measurements,
    unmeasured: reports
      .filter(({ quantity }) => !measurements.some((measured) => measured.quantity === quantity))
      .map(({ quantity }) =>
        quantity === 'GPU memory'
          ? 'GPU memory: nvidia-smi does not report it by process'
          : `${quantity}: measured only on CPUs under Linux`,
      ),
  };
}

/** Peak memory of both processes; empty on a GPU, whose memory it does not include, and where the system does not report it. */
function peaks({ device }: Settings, { here, peer }: Pair<Turn>): Pair[] {
  return device.kind === 'gpu' || here.peak === null || peer.peak === null
    ? []
    : [{ here: here.peak, peer: peer.peak }];
}

const isMemory = (quantity: Quantity) => quantity === 'peak RSS' || quantity === 'GPU memory';

/** The median of the pairs' ratios, and whether it meets the target. */
export function measurement(quantity: Quantity, pairs: readonly Pair[], target?: Target): Measurement {
  const ratios = pairs.map(({ here, peer }) => (isMemory(quantity) ? here / peer : peer / here));
  const ratio = median(ratios);
  const { atLeast = -Infinity, atMost = Infinity } = target ?? {};
  return {
    quantity,
    here: median(pairs.map(({ here }) => here)),
    peer: median(pairs.map(({ peer }) => peer)),
    ratio,
    quartiles: pairs.length > 1 ? [quantile(ratios, 0.25), quantile(ratios, 0.75)] : null,
    pairs: pairs.length,
    target: target ?? null,
    met: target ? ratio >= atLeast && ratio <= atMost : null,
  };
}

/** How much the first values may differ, relative to the largest value. */
const toleranceOf = ({ precision, tf32 }: Settings) => (precision === 'mixed' || tf32 ? 0.03 : 1e-3);

/** Throws a UserError if the sides' first steps do not give the same values: their times would not be comparable. */
function compareFirst({ name, here }: Case, sides: Pair<Side>) {
  const values = each(sides, ({ firstStep }) => firstStep.values);
  const scale = Math.max(...values.peer.map(Math.abs));
  const difference = Math.max(...values.here.map((value, i) => Math.abs(value - (values.peer[i] ?? NaN))));
  const same = values.here.length === values.peer.length && difference <= toleranceOf(here) * scale;
  if (!same) {
    const what = here.task === 'train' ? 'losses of the first step' : 'probabilities of the first batch';
    throw new UserError(
      `${name}: the ${what} differ by more than ${toleranceOf(here)} relative: ` +
        `${sides.here.library} ${values.here.join(', ')}; ${sides.peer.library} ${values.peer.join(', ')}`,
      { remedy: 'nothing was timed: the sides do not compute the same' },
    );
  }
}
