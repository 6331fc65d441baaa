// Answers as lines of text: CSV and JSON lines. Every answer is one line, so that a file can be continued after any of them.
import { printable } from '@ct-ensemble/core';
import { type Answer, type Answered, csvOf } from '@ct-ensemble/ensemble';

/** What a file that is continued must know of a line. */
export interface LineKey {
  scan: string;
  content: string | null;
  model: string;
  /** Whether the scan could be answered. */
  answered: boolean;
}

export interface AnswerFormat {
  /** First line of a file; null if it has none. */
  readonly header: string | null;
  /** The answer as one line, without the line feed. */
  lineOf(answer: Answer): string;
  /** What a line is about; undefined if it is no line of this format. */
  keyOf(line: string): LineKey | undefined;
}

const FIRST = ['scan', 'content', 'model', 'failure', 'predicted'];

/** One row a scan; numbers of classes in columns of their own. Lists are joined by ` | `. */
export function csvFormat(classes: readonly string[], members: readonly string[]): AnswerFormat {
  const perClass = (title: string) => classes.map((name) => `${title}_${name}`);
  const columns = [
    ...FIRST,
    ...['probability', 'calibrated', 'min', 'max', 'sd'].flatMap(perClass),
    'entropy',
    'mutual_information',
    'votes_against',
    'set',
    'alpha',
    'slices',
    'kept',
    ...members.flatMap((member) => classes.map((name) => `${member}_${name}`)),
    'findings',
  ];
  const line = (cells: readonly string[]) => csvOf([cells.map(printable)]).slice(0, -1);
  const header = line(columns);
  return {
    header,
    lineOf(answer) {
      const { scan, content, model, failure } = answer;
      const findings = answer.findings.map(({ kind, message }) => `${kind}: ${message}`).join(' | ');
      if (answer.failure !== null)
        return line([scan, content ?? '', model, failure!, ...columns.slice(4, -1).map(() => ''), findings]);
      const { predicted, probabilities, calibrated, spread, set } = answer;
      const numbers = [probabilities, calibrated, spread.min, spread.max, spread.sd].flat();
      const { entropy, mutualInformation, votesAgainst, alpha, slices, kept } = answer;
      return line([
        ...[scan, content ?? '', model, '', predicted],
        ...numbers.map(String),
        ...[entropy, mutualInformation, votesAgainst].map(String),
        set.join(' | '),
        ...[alpha, slices, kept].map(String),
        ...answer.members.flat().map(String),
        findings,
      ]);
    },
    keyOf(text) {
      const cells = cellsOf(text);
      if (cells.length !== columns.length) return undefined;
      const [scan, content, model, failure] = cells as [string, string, string, string];
      return { scan, content: content || null, model, answered: failure === '' };
    },
  };
}

/** The cells of one line of CSV. */
function cellsOf(line: string): string[] {
  const cells: string[] = [];
  const cell = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/y;
  for (;;) {
    const match = cell.exec(line);
    if (match === null) return [];
    cells.push(match[1]?.replaceAll('""', '"') ?? match[2]!);
    if (match[3] === '') return cells;
  }
}

/** One JSON object a line, with the fields of `Answer`, lists in the order of the field `classes`. */
export function jsonFormat(classes: readonly string[], members: readonly string[]): AnswerFormat {
  return {
    header: null,
    lineOf(answer) {
      if (answer.failure !== null) return JSON.stringify(answer);
      const numbers: Partial<Answered> = { ...answer, classes, memberNames: members } as Partial<Answered>;
      delete numbers.volumes;
      return JSON.stringify(numbers);
    },
    keyOf(line) {
      let value: unknown;
      try {
        value = JSON.parse(line);
      } catch {
        return undefined;
      }
      const { scan, content, model, failure } = (value ?? {}) as Record<string, unknown>;
      if (typeof scan !== 'string' || typeof model !== 'string') return undefined;
      return {
        scan,
        content: typeof content === 'string' ? content : null,
        model,
        answered: failure === null,
      };
    },
  };
}

/** The scan's name in a line of this format: CSV shows control characters. */
export const nameInLines = (scan: string, format: AnswerFormat) =>
  format.header === null ? scan : printable(scan);
