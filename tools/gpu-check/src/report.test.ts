import { markdownOf, type Report } from './report.ts';

const report: Report = {
  date: '2026-11-30',
  commit: 'abc1234',
  machine: { cpu: 'AMD EPYC', cores: 16, memoryGiB: 128, node: '20.20.2', system: 'Linux 6.1' },
  gpus: [{ name: 'NVIDIA H200', memory: '143771 MiB', driver: '570.1' }],
  outcomes: [
    { name: 'install', claim: 'is installed', command: 'npx nx run a', verdict: 'passed', seconds: 61.4, log: 'w/install.log' },
    { name: 'conformance', claim: 'suite', command: 'npx nx run b', verdict: 'failed', reason: 'exit | code 1', seconds: 5, tail: 'FAIL x', result: { passed: 7 } },
    { name: 'every-gpu', claim: 'all', command: 'npx nx run c', verdict: 'skipped', reason: 'one GPU', seconds: 0 },
    { name: 'bench', claim: 'bench', command: 'npx nx run d', verdict: 'passed', seconds: 9, result: '# Table\n\n| a |\n| --- |\n' },
  ],
}; // prettier-ignore

test('the report equals one that was written by hand', () => {
  expect(markdownOf(report)).toBe(`# GPU check

Made by \`npx nx run gpu-check:run\` on 2026-11-30, commit abc1234.

- GPU 0: NVIDIA H200, 143771 MiB, driver 570.1
- AMD EPYC, 16 cores, 128 GiB; Linux 6.1, Node 20.20.2

2 passed, 1 failed, 1 skipped.

| part | what a pass shows | verdict | seconds |
| --- | --- | --- | --- |
| install | is installed | passed | 61 |
| conformance | suite | **failed** (exit \\| code 1) | 5 |
| every-gpu | all | skipped (one GPU) | 0 |
| bench | bench | passed | 9 |

## conformance

\`npx nx run b\`

\`\`\`text
FAIL x
\`\`\`

\`\`\`json
{
  "passed": 7
}
\`\`\`

## bench

\`npx nx run d\`

### Table

| a |
| --- |
`);
});
