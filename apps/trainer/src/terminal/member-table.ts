// The members of a run as lines of text: what `all-members` shows while it trains, and what `status` shows from the files.
import { printable } from '@ct-ensemble/core';
import { isActive, type MemberState, memberStates, type MemberStatus } from '@ct-ensemble/ensemble';
import { duration } from './progress.ts';

/** What a line shows of a member. */
export type MemberRow = Pick<
  MemberStatus,
  | 'name'
  | 'state'
  | 'device'
  | 'epoch'
  | 'epochs'
  | 'step'
  | 'stepsPerEpoch'
  | 'loss'
  | 'macroF1'
  | 'best'
  | 'samplesPerSecond'
  | 'secondsLeft'
  | 'message'
>;

export const stateText: Record<MemberState, string> = {
  starting: 'starting',
  training: 'training',
  predicting: 'predicting',
  'waiting-to-retry': 'waiting to retry',
  waiting: 'waiting',
  interrupted: 'interrupted',
  stopped: 'stopped',
  failed: 'failed',
  'not-started': 'not started',
  done: 'done',
};

const symbols: Record<MemberState, string> = {
  starting: '●',
  training: '●',
  predicting: '●',
  'waiting-to-retry': '↻',
  waiting: '○',
  interrupted: '!',
  stopped: '■',
  failed: '✖',
  'not-started': '○',
  done: '✔',
};

/** Numbers of the colours of a terminal. */
const colours: Partial<Record<MemberState, number>> = {
  starting: 36,
  training: 36,
  predicting: 36,
  'waiting-to-retry': 33,
  interrupted: 33,
  stopped: 33,
  failed: 31,
  done: 32,
};

interface Column {
  title: string;
  text: (row: MemberRow) => string;
  isLeft?: boolean;
  /** The columns with the highest numbers are left out first if the terminal is narrow; 0: never. */
  dispensable: number;
}

const score = (value: number | null) => (value === null ? '' : value.toFixed(4));

const columns: readonly Column[] = [
  { title: 'member', text: ({ name }) => printable(name), isLeft: true, dispensable: 0 },
  { title: 'state', text: ({ state }) => stateText[state], isLeft: true, dispensable: 0 },
  { title: 'epoch', text: ({ epoch, epochs }) => `${epoch}/${epochs}`, dispensable: 0 },
  {
    title: 'step',
    text: ({ step, stepsPerEpoch }) => (step === null ? '' : `${step}/${stepsPerEpoch}`),
    dispensable: 6,
  },
  { title: 'loss', text: ({ loss }) => score(loss), dispensable: 4 },
  { title: 'macro F1', text: ({ macroF1 }) => score(macroF1), dispensable: 3 },
  { title: 'best', text: ({ best }) => score(best), dispensable: 2 },
  { title: 'scans/s', text: ({ samplesPerSecond }) => rate(samplesPerSecond), dispensable: 5 },
  {
    title: 'left',
    text: ({ secondsLeft }) => (secondsLeft === null ? '' : duration(secondsLeft)),
    dispensable: 1,
  },
  { title: 'device', text: ({ device }) => device ?? '', isLeft: true, dispensable: 7 },
];

export function rate(samplesPerSecond: number | null): string {
  if (samplesPerSecond === null) return '';
  return samplesPerSecond < 10 ? samplesPerSecond.toFixed(2) : samplesPerSecond.toFixed(0);
}

export interface TableOptions {
  /** Width of the terminal in characters. Default: as wide as needed. */
  width?: number;
  /** Most lines that the table may have; further members are folded into lines that count them. Default: all. */
  height?: number;
  /** Default: false. */
  coloured?: boolean;
}

/** The table of the members: a line of titles, then one for each member, or fewer if they do not fit. */
export function memberTable(rows: readonly MemberRow[], options: TableOptions = {}): string[] {
  const { width = Infinity, height = Infinity, coloured = false } = options;
  const { shown, folded } = fold(rows, height - 1);
  const cells = (column: Column) => [
    column.title,
    ...shown.map((row) => (replacesNumbers(row) && column.dispensable > 0 ? '' : column.text(row))),
  ];
  const used = columns.filter((column) => cells(column).slice(1).some(Boolean));
  const widthOf = (column: Column) => Math.max(...cells(column).map(({ length }) => length));
  const total = () => 2 + used.reduce((sum, column) => sum + widthOf(column) + GAP, -GAP);
  while (total() > width) {
    const most = Math.max(...used.map(({ dispensable }) => dispensable));
    if (most === 0) break;
    used.splice(
      used.findIndex(({ dispensable }) => dispensable === most),
      1,
    );
  }
  /** What is still too wide is taken from the names, as far as they stay readable. */
  const nameWidth = Math.max(
    Math.min(12, widthOf(columns[0]!)),
    widthOf(columns[0]!) - Math.max(0, total() - width),
  );
  const line = (text: (column: Column) => string) =>
    used
      .map((column) => {
        const room = column === columns[0] ? nameWidth : widthOf(column);
        const cell = truncate(text(column), room);
        return column.isLeft ? cell.padEnd(room) : cell.padStart(room);
      })
      .join(' '.repeat(GAP));
  const rowLine = (row: MemberRow) => {
    if (!replacesNumbers(row)) return line((column) => column.text(row));
    const [name, state] = columns.map((column) => column.text(row));
    const start = `${truncate(name!, nameWidth).padEnd(nameWidth)}${' '.repeat(GAP)}${state}`;
    return `${start}${' '.repeat(GAP)}${printable(row.message!)}`;
  };
  return [
    paint(truncate(`  ${line(({ title }) => title)}`.trimEnd(), width), 2, coloured),
    ...shown.map((row) => {
      const text = truncate(rowLine(row).trimEnd(), width - 2);
      return `${paint(symbols[row.state], colours[row.state], coloured)} ${text}`;
    }),
    ...folded.map((text) => paint(truncate(`  ${text}`, width), 2, coloured)),
  ];
}

const GAP = 2;

/** The reason is more useful than numbers that no longer change. */
const replacesNumbers = ({ state, message }: MemberRow) =>
  message !== null && (state === 'failed' || state === 'waiting-to-retry' || state === 'waiting');

/** States in the order in which their members are folded: the least interesting first. */
const foldedFirst: readonly MemberState[] = [
  'not-started',
  'waiting',
  'done',
  'stopped',
  'interrupted',
  'waiting-to-retry',
  'failed',
  'starting',
  'predicting',
  'training',
];

/** Chooses which members get a line, in the order given, and what is said of the others: a line for each state, else one for all. */
function fold(rows: readonly MemberRow[], height: number): { shown: readonly MemberRow[]; folded: string[] } {
  let shown = rows;
  const hidden: (readonly MemberRow[])[] = [];
  for (const state of foldedFirst) {
    if (shown.length + hidden.length <= height) break;
    const same = shown.filter((row) => row.state === state);
    if (same.length === 0) continue;
    // Of the last states as many as fit are shown.
    const isImportant = isActive(state) || state === 'failed';
    const room = isImportant ? height - hidden.length - 1 - (shown.length - same.length) : 0;
    const less = same.slice(Math.max(0, room));
    shown = shown.filter((row) => !less.includes(row));
    hidden.push(less);
  }
  const counts = hidden.map((same) => {
    const isAll = same.length === rows.filter(({ state }) => state === same[0]!.state).length;
    return `${same.length}${isAll ? '' : ' more'} ${stateText[same[0]!.state]}`;
  });
  if (shown.length + hidden.length > height) return { shown, folded: [counts.join(', ')] };
  const names = hidden.map((same) => same.map(({ name }) => printable(name)).join(', '));
  return { shown, folded: counts.map((count, i) => `${count}: ${names[i]}`) };
}

export interface Whole {
  title: string;
  counts: Readonly<Partial<Record<MemberState, number>>>;
  /** 0 to 1. */
  finished: number;
  samplesPerSecond: number | null;
  secondsLeft: number | null;
}

/** One line about the whole run: `quick: 1 of 3 members done · 41 % · about 3 min left · 12 scans/s · 2 training`. */
export function wholeLine({ title, counts, finished, samplesPerSecond, secondsLeft }: Whole): string {
  const all = memberStates.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
  const others = memberStates
    .filter((state) => state !== 'done' && (counts[state] ?? 0) > 0)
    .map((state) => `${counts[state]} ${stateText[state]}`);
  return [
    `${title}: ${counts.done ?? 0} of ${all} members done`,
    `${Math.floor(100 * finished)} %`,
    ...(secondsLeft === null || counts.done === all ? [] : [`about ${duration(secondsLeft)} left`]),
    ...(samplesPerSecond === null ? [] : [`${rate(samplesPerSecond)} scans/s`]),
    ...(others.length === 0 ? [] : [others.join(', ')]),
  ].join(' · ');
}

/** Shortens text to a number of characters; the last one is then an ellipsis. */
export function truncate(text: string, width: number): string {
  const characters = [...text];
  return characters.length <= width ? text : `${characters.slice(0, Math.max(0, width - 1)).join('')}…`;
}

function paint(text: string, colour: number | undefined, coloured: boolean): string {
  return coloured && colour !== undefined ? `\x1b[${colour}m${text}\x1b[0m` : text;
}
