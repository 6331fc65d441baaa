// The report of bench:predict: a table of the sides' times and of their ratios to this project's.
import type { PredictAnswer } from './predict-settings.ts';
import { median, quantile } from './statistics.ts';

/** What was measured of one side. The i-th entries of all sides were measured one right after the other. */
export interface PredictRun {
  /** From the start of the process to its first answer: seconds of wall time, and CPU seconds. The last starts were in turn. */
  starts: { seconds: number; cpu: number }[];
  answers: Omit<PredictAnswer, 'probabilities' | 'mean'>[];
}

/** A Markdown table with a row for each side; ratios are side / own, above 1 where this project is faster. */
export function predictReport(runs: ReadonlyMap<string, PredictRun>): string {
  const own = runs.get('own')!;
  const header = ['side', 'answer', 'ratio', 'of it forward', 'ratio', 'CPU seconds', 'ratio', 'start to first answer', 'ratio']; // prettier-ignore
  const rows = [...runs].map(([name, run]) => {
    const cell = (of: (answer: PredictRun['answers'][number]) => number) => [
      `${median(run.answers.map(of)).toFixed(3)} s`,
      name === 'own' ? '' : ratio(run.answers.map((each, i) => of(each) / of(own.answers[i]!))),
    ];
    const starts = [
      `${median(run.starts.map(({ seconds }) => seconds)).toFixed(1)} s (${median(run.starts.map(({ cpu }) => cpu)).toFixed(1)} CPU s)`,
      name === 'own' ? '' : ratio(startRatios(run, own)),
    ];
    return [
      `${name}: ${run.answers[0]?.library ?? ''}`,
      ...cell(({ prepare, forward }) => prepare + forward),
      ...cell(({ forward }) => forward),
      ...cell(({ prepareCpu, forwardCpu }) => prepareCpu + forwardCpu),
      ...starts,
    ];
  });
  const peers = [...runs].filter(([name]) => name !== 'own');
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line), '', ...peers.length > 0 ? verdicts(own, peers) : []].join('\n'); // prettier-ignore
}

/** One line for the answer and one for the start: the smallest ratio to a peer, against the target of 1. */
function verdicts(own: PredictRun, peers: readonly (readonly [string, PredictRun])[]): string[] {
  const least = (what: string, of: (run: PredictRun) => number[]) => {
    const ratios = peers.map(([name, run]) => ({ name, value: median(of(run)) }));
    const { name, value } = ratios.reduce((a, b) => (b.value < a.value ? b : a));
    return `RESULT ${what}: ${value.toFixed(2)} times as fast as the fastest peer, ${name}; target 1.00: ${value >= 1 ? 'met' : 'missed'}`;
  };
  const ofAnswers = (cost: (answer: PredictRun['answers'][number]) => number) => (run: PredictRun) =>
    run.answers.map((answer, i) => cost(answer) / cost(own.answers[i]!));
  return [
    least(
      'answer',
      ofAnswers(({ prepare, forward }) => prepare + forward),
    ),
    least(
      'CPU seconds',
      ofAnswers(({ prepareCpu, forwardCpu }) => prepareCpu + forwardCpu),
    ),
    least('start to first answer', (run) => startRatios(run, own)),
  ];
}

/** A side may have been started less often than this project; its starts are then the last ones. */
const startRatios = ({ starts }: PredictRun, own: PredictRun) =>
  starts.map(({ seconds }, i) => seconds / own.starts.at(i - starts.length)!.seconds);

const ratio = (values: readonly number[]) =>
  `${median(values).toFixed(2)} (${[0.25, 0.75].map((share) => quantile(values, share).toFixed(2)).join('–')})`;
