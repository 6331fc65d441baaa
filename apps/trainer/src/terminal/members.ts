// Progress of the members' training: a table that is rewritten in place on a terminal, plain lines elsewhere.
import { print, printable } from '@ct-ensemble/core';
import { isActive, type MemberEvent, memberStates, type Plan, timeLeft } from '@ct-ensemble/ensemble';
import { isColoured, liveLines, terminalSize } from './live.ts';
import { type MemberRow, memberTable, rate, truncate, wholeLine } from './member-table.ts';
import { duration } from './progress.ts';

export interface Display {
  event: (event: MemberEvent) => void;
  /** Shows at once that the members were asked to stop, or another notice. */
  notify: (notice: string) => void;
  /** Waits until everything is printed. Call it after the last event. */
  end: () => Promise<void>;
}

export function memberDisplay(plan: Plan, state: 'new' | 'continued'): Display {
  return process.stdout.isTTY ? liveDisplay(plan) : plainDisplay(plan, state);
}

/** Prints a line for each epoch and each change of a member's state, and one about the whole after each member. */
function plainDisplay(plan: Plan, state: 'new' | 'continued'): Display {
  const members = memberRows(plan);
  return {
    event(event) {
      members.event(event);
      if (event.kind === 'progress' && event.progress.kind === 'step') return;
      if (event.kind === 'skipped' && state === 'new') return;
      print(`${event.member}: ${describe(event, members.row(event.member))}`);
      if (event.kind === 'done' || event.kind === 'failed') print(members.whole());
    },
    notify: (notice) => console.error(notice),
    end: async () => {},
  };
}

/** Milliseconds between two drawings, at least and at most. */
const DRAW_EVERY = { least: 100, most: 1000 };

function liveDisplay(plan: Plan): Display {
  const members = memberRows(plan);
  const live = liveLines();
  const notices: string[] = [];
  let drawn = -Infinity;
  const draw = () => {
    drawn = performance.now();
    const { width, height } = terminalSize();
    const coloured = isColoured();
    // One line for the whole, and the cursor's own below.
    const room = Math.max(3, height - 2 - notices.length);
    live.draw([
      truncate(members.whole(), width),
      ...memberTable(members.rows(), { width, height: room, coloured }),
      ...notices.map((notice) => truncate(printable(notice), width)),
    ]);
  };
  const timer = setInterval(draw, DRAW_EVERY.most);
  timer.unref();
  draw();
  return {
    event(event) {
      members.event(event);
      if (event.kind === 'note') return; // The summary lists the notes.
      if (event.kind !== 'progress' || performance.now() - drawn > DRAW_EVERY.least) draw();
    },
    notify(notice) {
      notices.push(notice);
      draw();
    },
    async end() {
      clearInterval(timer);
      draw();
      live.end();
    },
  };
}

/** The rows of all members, kept up to date by the coordinator's events. */
export interface MemberRows {
  event(event: MemberEvent): void;
  /** In the plan's order. */
  rows(): readonly MemberRow[];
  row(member: string): MemberRow;
  /** One line about the whole run. */
  whole(): string;
}

interface Tracked {
  row: MemberRow;
  architecture: string;
  /** Of the last whole epoch. */
  secondsPerEpoch: number | null;
  /** Mean over the last steps, of which later ones count more. */
  secondsPerStep: number | null;
  /** Epochs that are finished, the present one by its share. */
  finishedEpochs: number;
}

/** What one step counts for in the mean duration of steps. */
const STEP_WEIGHT = 0.2;

export function memberRows(plan: Plan): MemberRows {
  const { epochs, batchSize } = plan.recipe.training;
  const all = new Map(
    plan.members.map(({ name, architecture }): [string, Tracked] => [
      name,
      {
        row: {
          name,
          state: 'waiting',
          device: null,
          epoch: 0,
          epochs,
          step: null,
          stepsPerEpoch: null,
          loss: null,
          macroF1: null,
          best: null,
          samplesPerSecond: null,
          secondsLeft: null,
          message: null,
        },
        architecture,
        secondsPerEpoch: null,
        secondsPerStep: null,
        finishedEpochs: 0,
      },
    ]),
  );
  /** Members at the same time, the most so far. */
  let slots = plan.devices.length;
  const update = (tracked: Tracked, event: MemberEvent) => {
    const { row } = tracked;
    const change = (fields: Partial<MemberRow>) => void Object.assign(row, { message: null, ...fields });
    const rest = { step: null, samplesPerSecond: null, secondsLeft: null };
    switch (event.kind) {
      case 'skipped':
      case 'done':
        tracked.finishedEpochs = epochs;
        return change({ ...rest, state: 'done', epoch: epochs, best: event.macroF1 });
      case 'untrained':
        return change({ ...rest, state: 'not-started' });
      case 'started':
        return change({
          ...rest,
          state: event.splits || event.augmented ? 'predicting' : 'starting',
          device: event.device,
        });
      case 'stopped':
        return change({ ...rest, state: 'stopped' });
      case 'retrying':
        return change({
          ...rest,
          state: 'waiting-to-retry',
          message: `attempt ${event.attempt + 1} in ${event.wait} s: ${event.reason}`,
        });
      case 'failed':
        return change({ ...rest, state: 'failed', message: event.reason });
      case 'note':
        return;
      case 'progress': {
        const { kind, epoch, step, stepsPerEpoch, loss, macroF1, best, seconds } = event.progress;
        if (kind === 'step') {
          const before = tracked.secondsPerStep ?? seconds;
          tracked.secondsPerStep = before + STEP_WEIGHT * (seconds - before);
          tracked.finishedEpochs = epoch - 1 + step / stepsPerEpoch;
        } else {
          tracked.finishedEpochs = epoch + (kind === 'resumed' ? step / stepsPerEpoch : 0);
          if (kind === 'epoch') tracked.secondsPerEpoch = seconds;
        }
        const { secondsPerEpoch, secondsPerStep } = tracked;
        const left = event.progress.epochs - tracked.finishedEpochs;
        return change({
          state: kind === 'epoch' && left <= 0 ? 'predicting' : 'training',
          epoch,
          epochs: event.progress.epochs,
          step: kind === 'step' ? step : null,
          stepsPerEpoch,
          loss,
          macroF1,
          best,
          samplesPerSecond: secondsPerStep ? batchSize / secondsPerStep : null,
          secondsLeft:
            secondsPerEpoch !== null
              ? secondsPerEpoch * left
              : secondsPerStep && secondsPerStep * stepsPerEpoch * left,
        });
      }
      default:
        return event satisfies never;
    }
  };
  return {
    event(event) {
      update(all.get(event.member)!, event);
      const active = [...all.values()].filter(({ row }) => isActive(row.state)).length;
      slots = Math.max(slots, active);
    },
    rows: () => [...all.values()].map(({ row }) => row),
    row: (member) => all.get(member)!.row,
    whole: () => wholeLine(wholeOf([...all.values()], { title: plan.recipe.name, slots })),
  };
}

function wholeOf(all: readonly Tracked[], { title, slots }: { title: string; slots: number }) {
  const counts = Object.fromEntries(
    memberStates.map((state) => [state, all.filter(({ row }) => row.state === state).length]),
  );
  const epochs = all.reduce((sum, { row }) => sum + row.epochs, 0);
  const rates = all.flatMap(({ row }) => row.samplesPerSecond ?? []);
  const perEpoch = new Map<string, number>();
  for (const { architecture, secondsPerEpoch } of all)
    if (secondsPerEpoch !== null) perEpoch.set(architecture, secondsPerEpoch);
  const unfinished = (isWanted: (row: MemberRow) => boolean) =>
    all
      .filter(({ row }) => isWanted(row))
      .map(({ row, architecture, secondsPerEpoch, finishedEpochs }) => ({
        architecture,
        epochsLeft: row.epochs - finishedEpochs,
        secondsPerEpoch,
        secondsLeft: row.secondsLeft,
      }));
  return {
    title,
    counts,
    finished: all.reduce((sum, { finishedEpochs }) => sum + finishedEpochs, 0) / epochs,
    samplesPerSecond: rates.length === 0 ? null : rates.reduce((sum, each) => sum + each, 0),
    secondsLeft: timeLeft({
      active: unfinished(({ state }) => isActive(state)),
      waiting: unfinished(({ state }) => state === 'waiting' || state === 'waiting-to-retry'),
      slots,
      secondsPerEpoch: perEpoch,
    }),
  };
}

/** The text of an event, without the member's name; `row` is the member's after the event. */
export function describe(event: MemberEvent, row: MemberRow): string {
  switch (event.kind) {
    case 'skipped':
      return `already done, ${score('best macro F1', event.macroF1)}`;
    case 'untrained':
      return 'not trained yet';
    case 'started':
      return event.splits === undefined && event.augmented === undefined
        ? `started on ${event.device}`
        : `is trained; predicts ${[
            ...(event.splits ? [`the scans of ${event.splits.join(' and ')}`] : []),
            ...(event.augmented
              ? [`with test-time augmentation the scans of ${event.augmented.join(' and ')}`]
              : []),
          ].join(', and ')} on ${event.device}`;
    case 'done':
      return `done, ${score('best macro F1', event.macroF1)}`;
    case 'stopped':
      return 'stopped';
    case 'failed':
      return `FAILED: ${event.reason}`;
    case 'retrying':
      return `attempt ${event.attempt} failed, the next one starts in ${event.wait} s: ${event.reason}`;
    case 'note':
      return event.note;
    case 'progress': {
      const { kind, epoch, epochs, step, stepsPerEpoch, loss, macroF1, best } = event.progress;
      if (kind === 'resumed')
        return (
          `resumed from its checkpoint after epoch ${epoch} of ${epochs}` +
          (step > 0 ? ` and step ${step} of ${stepsPerEpoch} of the next` : '')
        );
      const { samplesPerSecond, secondsLeft } = row;
      return [
        `epoch ${epoch}/${epochs}`,
        `loss ${loss?.toFixed(4)}`,
        `${score('macro F1', macroF1)} (${score('best', best)})`,
        ...(samplesPerSecond === null ? [] : [`${rate(samplesPerSecond)} scans/s`]),
        ...(secondsLeft === null ? [] : [`${duration(secondsLeft)} left`]),
      ].join(', ');
    }
    default:
      return event satisfies never;
  }
}

function score(name: string, value: number | null): string {
  return `${name} ${value === null ? '–' : value.toFixed(4)}`;
}
