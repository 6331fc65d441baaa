// The batch scripts: read by bash and shellcheck, and executed with a program that writes down what it was given.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commandsScript, membersScript, shellWord } from './script.ts';
import type { JobRequest } from './settings.ts';

const strange = [
  'two words',
  "it's",
  'say "hi"',
  '$HOME and ${x} and `date`',
  'Übergröße',
  'back\\slash \\"',
  '#hash; & | > < * ? [a] {b,c} ~ !',
  '-dash',
  '',
  '“quoted”',
];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble script "it\'s" $x ü-'));
  await mkdir(join(folder, 'slurm', 'logs'), { recursive: true });
  await writeFile(
    join(folder, 'program.mjs'),
    `import { appendFileSync } from 'node:fs';
     appendFileSync(process.env.ARGUMENTS, JSON.stringify(process.argv.slice(2)) + '\\n');
     if (process.argv.includes('fail')) process.exit(3);
     console.log('said by the program', process.pid === Number(process.env.SHELL_PID));`,
  );
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const request: JobRequest = {
  mem: '4G',
  cpus: 2,
  partition: 'gpu',
  time: '01:00:00',
  gres: 'gpu:1',
  sbatch: [],
};

const members = (names: readonly string[], args: readonly string[] = [], setup: readonly string[] = []) =>
  membersScript({
    jobName: 'ct-test-abcdef-001',
    run: folder,
    request,
    setup,
    members: names,
    parallel: 2,
    signalSeconds: 120,
    command: [process.execPath, join(folder, 'program.mjs'), 'member', ...args],
  });

/** Executes the script as Slurm does and returns what the program was given. */
async function execute(
  text: string,
  environment: Record<string, string> = {},
): Promise<{ args: string[][]; code: number | null }> {
  const file = join(folder, 'script.sh');
  await writeFile(file, text);
  await chmod(file, 0o755);
  const record = join(folder, 'arguments.jsonl');
  await rm(record, { force: true });
  const { status } = spawnSync('bash', [file], {
    cwd: folder,
    env: { PATH: process.env['PATH'], ARGUMENTS: record, ...environment },
    encoding: 'utf8',
  });
  const lines = (await readFile(record, 'utf8')).trimEnd().split('\n');
  return { args: lines.map((line) => JSON.parse(line) as string[]), code: status };
}

const task = (index: number, restart?: number) => ({
  SLURM_ARRAY_JOB_ID: '12',
  SLURM_ARRAY_TASK_ID: String(index),
  ...(restart !== undefined && { SLURM_RESTART_COUNT: String(restart) }),
});

test('a task hands over exactly the arguments, and its own member', async () => {
  const names = ['one', 'two', 'three'];
  const text = members(names, strange.map((each) => `--x=${each}`).concat(strange));
  for (const [i, name] of names.entries()) {
    const { args } = await execute(text, task(i));
    expect(args).toEqual([['member', ...strange.map((each) => `--x=${each}`), ...strange, '--member', name]]);
  }
});

test('members with strange names', async () => {
  const text = members(strange.filter((name) => name !== ''));
  const { args } = await execute(text, task(2));
  expect(args).toEqual([['member', '--member', 'say "hi"']]);
});

test('every start has a file for its output, also a requeued one', async () => {
  const text = members(['one', 'two']);
  await execute(text, task(1));
  await execute(text, task(1, 2));
  for (const name of ['two-12_1-0.log', 'two-12_1-2.log'])
    expect(await readFile(join(folder, 'slurm', 'logs', name), 'utf8')).toMatch(/^said by the program/);
});

test('the program takes the place of the shell, so that signals reach it', async () => {
  // The shell exports its own pid as a line of the setup.
  const text = members(['only'], [], ['export SHELL_PID=$$']);
  await execute(text, task(0, 7));
  expect(await readFile(join(folder, 'slurm', 'logs', 'only-12_0-7.log'), 'utf8')).toBe(
    'said by the program true\n',
  );
});

const scripts = () => ({
  members: members(['one', 'it’s'], strange),
  preparation: commandsScript({
    jobName: 'ct-x-001',
    run: folder,
    request,
    setup: [],
    commands: [['node', 'main.js', ...strange]],
  }),
  evaluation: commandsScript({
    jobName: 'ct-x-002',
    run: folder,
    request,
    setup: [],
    commands: [
      ['node', 'a', ...strange],
      ['node', 'b'],
    ],
  }),
});

const hasShellcheck = spawnSync('shellcheck', ['--version']).error === undefined;
/** `it`, or its skipped form with the reason in the name where a program is missing. */
const withShellcheck = hasShellcheck ? test.each : (test.skip.each as typeof test.each);

withShellcheck(['members', 'preparation', 'evaluation'] as const)(
  `the script of %s passes shellcheck${hasShellcheck ? '' : ' (skipped: shellcheck is not installed)'}`,
  (kind) => {
    const { stdout, status } = spawnSync('shellcheck', ['-'], { input: scripts()[kind], encoding: 'utf8' });
    expect(stdout).toBe('');
    expect(status).toBe(0);
  },
);

test.each(['members', 'preparation', 'evaluation'] as const)('bash can read the script of %s', (kind) => {
  expect(execFileSync('bash', ['-n'], { input: scripts()[kind], encoding: 'utf8' })).toBe('');
});

test('a list of commands goes on after one that fails, and fails', async () => {
  const command = (...args: string[]) => [process.execPath, join(folder, 'program.mjs'), ...args];
  const base = { jobName: 'ct-x-1', run: folder, request, setup: [] };
  const failing = await execute(commandsScript({ ...base, commands: [command('a', 'fail'), command('b')] }));
  expect(failing).toEqual({ args: [['a', 'fail'], ['b']], code: 1 });
  const good = await execute(commandsScript({ ...base, commands: [command('a'), command('b')] }));
  expect(good.code).toBe(0);
  expect((await execute(commandsScript({ ...base, commands: [command('fail')] }))).code).toBe(3);
});

test('what is asked of Slurm', () => {
  const text = membersScript({
    jobName: 'ct-a-1',
    run: '/runs/my run "x"',
    request: { ...request, sbatch: ['--comment=a b "c"', '--exclusive'] },
    setup: ['module load cuda'],
    members: ['a', 'b'],
    signalSeconds: 90,
    command: ['node', 'm'],
  });
  const lines = text.split('\n').filter((line) => line.startsWith('#SBATCH'));
  expect(lines).toEqual([
    '#SBATCH --job-name=ct-a-1',
    '#SBATCH "--chdir=/runs/my run \\"x\\""',
    '#SBATCH --array=0-1',
    '#SBATCH --output=slurm/logs/%x-%A_%a.out',
    '#SBATCH --signal=B:USR2@90',
    '#SBATCH --open-mode=append',
    '#SBATCH --requeue',
    '#SBATCH --nodes=1',
    '#SBATCH --ntasks=1',
    '#SBATCH --cpus-per-task=2',
    '#SBATCH --partition=gpu',
    '#SBATCH --time=01:00:00',
    '#SBATCH --mem=4G',
    '#SBATCH --gres=gpu:1',
    '#SBATCH "--comment=a b \\"c\\""',
    '#SBATCH --exclusive',
  ]);
  expect(text.indexOf('module load cuda')).toBeLessThan(text.indexOf('exec node'));
});

test.each(['a\nb', 'a\tb', '\u0000'])('%j has a control character and is refused', (name) => {
  expect(() => shellWord(name)).toThrow(/control character → rename/);
  expect(() => members([name])).toThrow(/control character/);
});

test.each(['/runs/100%', '/runs/a\\b'])('Slurm cannot write its output in %s', (run) => {
  expect(() => commandsScript({ jobName: 'x', run, request, setup: [], commands: [['a']] })).toThrow(
    /Slurm cannot write the output .* → choose another folder with --run/,
  );
});
