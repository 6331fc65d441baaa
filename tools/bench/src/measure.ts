// Measures a case: both sides started, their first step compared, then turns; medians of the pairs' ratios.
import { UserError } from '@ct-ensemble/core';
import type { Case, Quantity, Target } from './cases.ts';
import type { Settings } from './settings.ts';
import type { OpenSide, Side, Turn } from './side.ts';
import { mean, median, quantile } from './statistics.ts';

export interface Pair<T = number> {
  here: T;
  peer: T;
}

/** One ratio of a case, with medians of both sides: seconds, or bytes. */
export interface Measurement extends Pair {
  quantity: Quantity;
  ratio: number;
  /** First and third quartile of the pairs' ratios; null where there is one pair. */
  quartiles: [number, number] | null;
  pairs: number;
  target: Target | null;
  /** null where there is no target, or the machine was too busy to tell. */
  met: boolean | null;
}

export interface CaseResult {
  name: string;
  what: string;
  libraries: Pair<string>;
  settings: Pair<Settings>;
  /** What convolutions and matrix products computed in. */
  compute: Pair<string>;
  stepsPerTurn: number;
  /** What the first and the last step gave: losses, or probabilities. */
  first: Pair<number[]>;
  last: Pair<number[]>;
  /** Seconds of a turn, or of a start. */
  seconds: Pair[];
  measurements: Measurement[];
  /** Share of the machine's CPU time that other programs took in the turns that count. */
  others: number;
  /** What could not be measured, and why. */
  unmeasured: string[];
}

type Log = (line: string) => void;

/** Turns that are not counted: the first steps of a shape are slower on both sides. */
const warmUp = 2;

/** With more of the CPUs in use by others no time is judged: not all libraries suffer alike from it. */
const tolerableOthers = 0.1;

/** @throws {UserError} when the first steps disagree, or a later one gives no finite number. */
export async function measureCase(benchCase: Case, open: OpenSide, log: Log = () => {}): Promise<CaseResult> {
  const starts = benchCase.tells.some(({ quantity }) => quantity === 'start');
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
    return result(benchCase, sides, {
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
  const told = (what: string) => (sides: Pair<Side>) => {
    compareFirst(benchCase, sides);
    log(`${name}: ${what}: ${secondsText(each(sides, (side) => side.start))}`);
  };
  await inTurns(1, both, told('warm-up'));
  const turns = await inTurns(pairs, both, (sides, i) => told(`pair ${i + 1} of ${pairs}`)(sides));
  return result(benchCase, turns.at(-1)!, {
    start: turns.map((sides) => each(sides, (side) => side.start)),
    'first step': turns.map((sides) => each(sides, ({ firstStep }) => firstStep)),
  });
}

const secondsText = ({ here, peer }: Pair<Turn>) =>
  `${here.seconds.toFixed(3)} s here, ${peer.seconds.toFixed(3)} s peer`;

/** Has both sides take turns, each first every other time; what else the machine does falls on both alike. */
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

/** The turns that count, by what they are timed for. */
type Turns = Partial<Record<Quantity, Pair<Turn>[]>>;

function result(benchCase: Case, sides: Pair<Side>, turns: Turns): CaseResult {
  const { name, what, here, peer, stepsPerTurn, tells } = benchCase;
  const own = turns.step ?? turns.start!;
  const last = own.at(-1)!;
  const others = mean(own.flatMap((pair) => [pair.here.others, pair.peer.others]));
  const pairsOf = (quantity: Quantity): Pair[] => {
    if (quantity === 'peak RSS') return peaks(here, last);
    const steps = quantity === 'step' ? stepsPerTurn : 1;
    return turns[quantity]!.map((pair) => each(pair, ({ seconds }) => seconds / steps));
  };
  const measurements = tells
    .filter(({ quantity }) => pairsOf(quantity).length > 0)
    .map(({ quantity, target }) => measurement(quantity, pairsOf(quantity), target))
    .map((told) =>
      told.quantity !== 'peak RSS' && others > tolerableOthers ? { ...told, met: null } : told,
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
    unmeasured: tells
      .filter(({ quantity }) => !measurements.some((told) => told.quantity === quantity))
      .map(({ quantity }) => `${quantity}: told on CPUs under Linux only`),
  };
}

/** On a GPU the process's memory says nothing of the step's. */
function peaks({ device }: Settings, { here, peer }: Pair<Turn>): Pair[] {
  return device.kind === 'gpu' || here.peak === null || peer.peak === null
    ? []
    : [{ here: here.peak, peer: peer.peak }];
}

/** The median of the pairs' ratios beside its target. */
export function measurement(quantity: Quantity, pairs: readonly Pair[], target?: Target): Measurement {
  const ratios = pairs.map(({ here, peer }) => (quantity === 'peak RSS' ? here / peer : peer / here));
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

/** Relative to the largest value. */
const toleranceOf = ({ precision, tf32 }: Settings) => (precision === 'mixed' || tf32 ? 0.03 : 1e-3);

/** Nothing is timed that computes something else. */
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
