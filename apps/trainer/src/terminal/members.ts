// Progress of the members' training: one line per member on a terminal, plain lines elsewhere.
import { print, printable } from '@ct-ensemble/core';
import type { MemberEvent, Plan } from '@ct-ensemble/ensemble';
import { Listr, type ListrTaskWrapper } from 'listr2';
import { duration } from './progress.ts';

type Line = ListrTaskWrapper<unknown, never, never>;

export interface Display {
  event: (event: MemberEvent) => void;
  /** Shows at once that the members were asked to stop. */
  notify: (notice: string) => void;
  /** Waits until everything is printed. Call it after the last event. */
  end: () => Promise<void>;
}

export function memberDisplay(plan: Plan, state: 'new' | 'continued'): Display {
  return process.stdout.isTTY ? liveDisplay(plan) : plainDisplay(state);
}

/** Prints a line for each epoch and each change of a member's state. */
function plainDisplay(state: 'new' | 'continued'): Display {
  return {
    event(event) {
      if (event.kind === 'progress' && event.progress.kind === 'step') return;
      if (event.kind === 'skipped' && state === 'new') return;
      print(`${event.member}: ${describe(event)}`);
    },
    notify: (notice) => console.error(notice),
    end: async () => {},
  };
}

/** One line per member, rewritten in place. */
function liveDisplay(plan: Plan): Display {
  const lines = new Map<string, { line: Line; finish: (error?: Error) => void }>();
  const early: MemberEvent[] = [];
  const ended = new Set<string>();
  const show = (event: MemberEvent) => {
    const shown = lines.get(event.member);
    if (shown === undefined) return void early.push(event);
    if (event.kind === 'note') return; // The summary lists the notes.
    (shown.line as { title: string }).title = printable(`${event.member}: ${describe(event)}`);
    if (outcomes.has(event.kind)) ended.add(event.member);
    if (event.kind === 'failed') shown.finish(new Error(event.reason));
    else if (outcomes.has(event.kind)) shown.finish();
  };
  const list = new Listr(
    plan.members.map(({ name }) => ({
      title: `${name}: waiting for a device`,
      task: (_context: unknown, line: unknown) =>
        new Promise<void>((resolve, reject) => {
          lines.set(name, { line: line as Line, finish: (error) => (error ? reject(error) : resolve()) });
          for (const event of early.splice(0)) show(event);
        }),
    })),
    {
      concurrent: true,
      exitOnError: false,
      registerSignalListeners: false, // listr2's own listener ends the process at the first Ctrl-C
      rendererOptions: { collapseErrors: false, showErrorMessage: false },
    },
  );
  const running = list.run();
  return {
    event: show,
    // While listr2 draws, it holds back whatever else is printed: the notice goes below the first member at work.
    notify(notice) {
      const at = [...lines].find(([name]) => !ended.has(name))?.[1] ?? [...lines.values()][0];
      if (at === undefined) console.error(notice);
      else (at.line as { output: string }).output = notice;
    },
    end: async () => void (await running),
  };
}

/** Kinds of the events after which a member's line no longer changes. */
const outcomes: ReadonlySet<MemberEvent['kind']> = new Set([
  'done',
  'skipped',
  'untrained',
  'stopped',
  'failed',
]);

/** The text of an event, without the member's name. */
export function describe(event: MemberEvent): string {
  switch (event.kind) {
    case 'skipped':
      return `already done, ${score('best macro F1', event.macroF1)}`;
    case 'untrained':
      return 'not trained yet';
    case 'started':
      return event.splits === undefined
        ? `started on ${event.device}`
        : `is trained; predicts the scans of ${event.splits.join(' and ')} on ${event.device}`;
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
      const { kind, epoch, epochs, step, stepsPerEpoch, loss, macroF1, best, seconds } = event.progress;
      if (kind === 'resumed')
        return (
          `resumed from its checkpoint after epoch ${epoch} of ${epochs}` +
          (step > 0 ? ` and step ${step} of ${stepsPerEpoch} of the next` : '')
        );
      const steps = (epochs - epoch) * stepsPerEpoch + (kind === 'step' ? stepsPerEpoch - step : 0);
      const left = duration(kind === 'step' ? steps * seconds : (epochs - epoch) * seconds);
      const where =
        kind === 'step'
          ? `epoch ${epoch}/${epochs} step ${step}/${stepsPerEpoch}`
          : `epoch ${epoch}/${epochs}`;
      return `${where}, loss ${loss?.toFixed(4)}, ${score('macro F1', macroF1)} (${score('best', best)}), ${left} left`;
    }
    default:
      return event satisfies never;
  }
}

function score(name: string, value: number | null): string {
  return `${name} ${value === null ? '–' : value.toFixed(4)}`;
}
