// The report of a check, as Markdown.
import type { Gpu } from './gpus.ts';

export interface Outcome {
  name: string;
  claim: string;
  command: string;
  verdict: 'passed' | 'failed' | 'skipped';
  /** Why it failed or was skipped. */
  reason?: string;
  seconds: number;
  /** The part's log, relative to the project. */
  log?: string;
  /** The last lines of a failed part's log. */
  tail?: string;
  /** What the part wrote for the report: Markdown, or a summary. */
  result?: unknown;
}

export interface Report {
  date: string;
  machine: { cpu: string; cores: number; memoryGiB: number; node: string; system: string };
  gpus: Gpu[];
  commit: string;
  outcomes: Outcome[];
}

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
    '| part | what a pass says | verdict | seconds |',
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
