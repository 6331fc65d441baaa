// Writes the report of a check as Markdown.
import type { Gpu } from './gpus.ts';

/** The outcome of one part. */
export interface Outcome {
  name: string;
  /** What is true if the part passes. */
  claim: string;
  command: string;
  verdict: 'passed' | 'failed' | 'skipped';
  /** Why the part failed or was skipped. */
  reason?: string;
  seconds: number;
  /** Path of the part's log, relative to the project. */
  log?: string;
  /** The last lines of a failed part's log. */
  tail?: string;
  /** What the part wrote for the report: a text in Markdown, or a JSON value. */
  result?: unknown;
}

export interface Report {
  date: string;
  machine: { cpu: string; cores: number; memoryGiB: number; node: string; system: string };
  gpus: Gpu[];
  commit: string;
  outcomes: Outcome[];
}

/** The report as Markdown: the machine, a table of all parts, then the log or result of each part that has one. */
export function markdownOf({ date, machine, gpus, commit, outcomes }: Report): string {
  const count = (verdict: Outcome['verdict']) =>
    outcomes.filter((outcome) => outcome.verdict === verdict).length;
  const lines = [
    '# GPU check',
    '',
    `Made by \`npx nx run gpu-check:run\` on ${date}, commit ${commit}.`,
    '',
    ...gpus.map((gpu, i) => `- GPU ${i}: ${gpu.name}, ${gpu.memory}, driver ${gpu.driver}`),
    `- ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB; ${machine.system}, Node ${machine.node}`,
    '',
    `${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped.`,
    '',
    '| part | what a pass shows | verdict | seconds |',
    '| --- | --- | --- | --- |',
    ...outcomes.map(
      ({ name, claim, verdict, reason, seconds }) =>
        `| ${name} | ${claim} | ${verdict === 'failed' ? '**failed**' : verdict}${reason ? ` (${cell(reason)})` : ''} | ${seconds.toFixed(0)} |`,
    ),
  ];
  for (const outcome of outcomes) {
    if (outcome.verdict === 'skipped' || (outcome.tail === undefined && outcome.result === undefined))
      continue;
    lines.push('', `## ${outcome.name}`, '', `\`${outcome.command}\``);
    if (outcome.tail !== undefined) lines.push('', '```text', outcome.tail, '```');
    if (typeof outcome.result === 'string')
      lines.push('', outcome.result.trim().replaceAll(/^(#+ )/gm, '##$1'));
    else if (outcome.result !== undefined) {
      lines.push('', '```json', JSON.stringify(outcome.result, null, 2), '```');
    }
  }
  return `${lines.join('\n')}\n`;
}

function cell(text: string) {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
