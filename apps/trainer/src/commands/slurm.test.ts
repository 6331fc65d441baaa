// all-members --on slurm, status, stop and logs with a fake Slurm on the PATH; the real programs are not called.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { runCommand } from '../testing/run-command.ts';
import { killTrainings, recipeOf, train, writeInputs } from '../testing/train.ts';

let folder: string;
const path = process.env['PATH'];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-slurm-'));
  await writeInputs(folder, { epochs: 1, edge: 16 });
  const bin = join(folder, 'bin');
  await mkdir(bin);
  // Every script gets the next id; what is queued is a list of "id|index|state|reason|node|name".
  const programs = {
    sbatch: `
id=$(($(cat "$STATE/id" 2>/dev/null || echo 99) + 1)); echo "$id" >"$STATE/id"
for script; do :; done
cp "$script" "$STATE/$id.sh"; echo "$*" >>"$STATE/sbatch.txt"
name=$(sed -n 's/^#SBATCH --job-name=//p' "$script"); last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
if [ -z "$last" ]; then echo "$id|N/A|PENDING|Priority||$name" >>"$STATE/queue"
else for i in $(seq 0 "$last"); do echo "$id|$i|PENDING|PartitionTimeLimit||$name" >>"$STATE/queue"; done; fi
echo "$id"`,
    squeue: `cat "$STATE/queue" 2>/dev/null || true`,
    scancel: `for job; do id=\${job%_*}; i=\${job#*_}; [ "$i" != "$job" ] || i=N/A; sed -i "s#^$id|$i|[A-Z]*#$id|$i|CANCELLED#" "$STATE/queue"; done`,
    scontrol: `echo "MaxArraySize = 1001"`,
  };
  for (const [name, text] of Object.entries(programs)) {
    await writeFile(join(bin, name), `#!/bin/sh\nSTATE='${folder}/state'\n${text}\n`);
    await chmod(join(bin, name), 0o755);
  }
  process.env['PATH'] = `${bin}${delimiter}${path}`;
  process.env['XDG_CONFIG_HOME'] = join(folder, 'config');
});
beforeEach(async () => {
  await rm(join(folder, 'state'), { recursive: true, force: true });
  await mkdir(join(folder, 'state'));
});
afterAll(async () => {
  process.env['PATH'] = path;
  delete process.env['XDG_CONFIG_HOME'];
  killTrainings();
  await rm(folder, { recursive: true, force: true });
});

const submit = (run: string, ...args: string[]) =>
  runCommand(folder, [
    'all-members',
    ...['--on', 'slurm', '--devices', 'cpu:1', '--engine', 'cpu', '--data', 'data', '--recipe', 'tiny.yaml'],
    ...['--volumes', 'my volumes', '--run', run, ...args],
  ]);

const sbatchCalls = () => readFile(join(folder, 'state', 'sbatch.txt'), 'utf8').catch(() => '');

test('submits, submits nothing more, shows the state, stops and submits again', async () => {
  const first = await submit('runs/my run', '--partition', 'long', '--sbatch=--exclusive', '--mem', '2G');
  expect(first.output).toMatch(
    /submitted {2}job 100 {2}preparation\n.*job 101 {2}2 members: one, two\n.*job 102 {2}evaluation/s,
  );
  expect(first.code).toBe(0);
  const script = await readFile(join(folder, 'state', '101.sh'), 'utf8');
  expect(script).toContain('#SBATCH --partition=long\n#SBATCH --mem=2G\n#SBATCH --exclusive\n');
  expect(script).toMatch(/'--run=.*\/runs\/my run'/);
  expect(await readFile(join(folder, 'state', '100.sh'), 'utf8')).toMatch(
    /all-members.*--recipe=\/.*tiny\.yaml.*--prepare-only/s,
  );

  const second = await submit('runs/my run', '--partition', 'long', '--sbatch=--exclusive', '--mem', '2G');
  expect(second.output).not.toMatch(/^submitted/m);
  expect(second.output).toMatch(/queued already {2}job 101_1 {2}two: PENDING \(PartitionTimeLimit: /);
  expect((await sbatchCalls()).trim().split('\n')).toHaveLength(3);

  const status = await runCommand(folder, ['status', '--run', 'runs/my run']);
  expect(status.code).toBe(0);
  expect(status.output).toMatch(
    /preparation: job 100 waits \(Priority\); members: 0 jobs on nodes, 2 waiting; evaluation: job 102/,
  );
  expect(status.output).toMatch(
    /PROBLEM: 2 tasks of job 101 wait in the queue for the reason PartitionTimeLimit: .*smaller --time/,
  );
  expect(status.output).toMatch(/one +waiting +queued as job 101_0: PartitionTimeLimit/);

  const one = await runCommand(folder, ['stop', '--run', 'runs/my run', 'one']);
  expect(one).toMatchObject({ code: 0, output: 'cancelled  job 101_0  one (was PENDING)\n' });
  const all = await runCommand(folder, ['stop', '--run', 'runs/my run']);
  expect(all.code).toBe(0);
  expect(all.output.trimEnd().split('\n')).toHaveLength(3);
  expect((await runCommand(folder, ['stop', '--run', 'runs/my run'])).output).toMatch(/^nothing to stop/);

  expect((await submit('runs/my run')).output).toMatch(/job 103 {2}preparation\n.*job 104 {2}2 members/s);
});

test('a dry run prints the scripts and submits and writes nothing', async () => {
  const { code, output } = await submit('runs/dry', '--dry-run', '--time', '1-0', '--mem', '1G');
  expect(code).toBe(0);
  expect(output.match(/^#!\/bin\/bash$/gm)).toHaveLength(3);
  expect(output).toContain('#SBATCH --time=1-0\n');
  expect(output).toMatch(
    /# sbatch --parsable --dependency=afterok:ID-OF-001,afterany:ID-OF-002 --kill-on-invalid-dep=yes/,
  );
  expect(await sbatchCalls()).toBe('');
  expect(await readdir(join(folder, 'runs')).catch(() => [])).not.toContain('dry');
});

test('mistakes of the user come at once, before anything is submitted', async () => {
  const refused = async (message: RegExp, ...args: string[]) => {
    const { code, output } = await submit('runs/wrong', ...args);
    expect(output).toMatch(message);
    expect(code).toBe(1);
  };
  await refused(/each member has one device of its own/, '--devices', 'cpu:1,cpu:1');
  await refused(/"soon" is no time/, '--time', 'soon');
  await refused(/would change what the program itself sets/, '--sbatch=--array=1-3');
  await refused(/there is no such site file/, '--site', 'none.yaml');
  await refused(/does not work with --dashboard/, '--dashboard');
  await writeFile(join(folder, 'site.yaml'), 'partitions: gpu');
  await refused(
    /site\.yaml: field partitions: there is no such field \(did you mean "partition"\?\)/,
    '--site',
    'site.yaml',
  );
  await writeFile(join(folder, 'tiny2.yaml'), recipeOf({ epochs: 0, edge: 16 }));
  await refused(/training\.epochs/, '--recipe', 'tiny2.yaml');
  expect(await sbatchCalls()).toBe('');
  const local = await runCommand(folder, ['all-members', '--data', 'data', '--partition', 'x']);
  expect(local.output).toBe(
    'error: --partition is for a run on a cluster → add --on slurm, or leave it out\n',
  );
});

test('prepared here, and the members of a prepared run', async () => {
  const { output } = await submit('runs/here', '--prepare', 'here', '--mem', '1G');
  expect(output).toMatch(
    /The run is prepared\.\nsubmitted {2}job 100 {2}2 members: one, two\nsubmitted {2}job 101 {2}evaluation/,
  );
  await runCommand(folder, ['stop', '--run', 'runs/here']);
  // Nothing has changed, so that there is nothing to prepare.
  expect((await submit('runs/here', '--mem', '1G')).output).toMatch(/^submitted {2}job 102 {2}2 members/m);
  await runCommand(folder, ['stop', '--run', 'runs/here']);
  await rm(join(folder, 'my volumes'), { recursive: true });
  expect((await submit('runs/here', '--mem', '1G')).output).toMatch(/^submitted {2}job 104 {2}preparation/m);
});

test('logs of members on a cluster: every start, the last one by default, and what Slurm said', async () => {
  await submit('runs/logs', '--mem', '1G');
  const logs = join(folder, 'runs', 'logs', 'slurm', 'logs');
  const name = (await readFile(join(folder, 'state', '101.sh'), 'utf8')).match(/--job-name=(.*)/)![1]!;
  await writeFile(join(logs, 'one-101_0-0.log'), 'first start\n');
  await writeFile(join(logs, 'one-101_0-1.log'), 'a\nb\nÜ\n');
  await writeFile(join(logs, `${name}-101_0.out`), 'slurmstepd: CANCELLED DUE TO TIME LIMIT\n');
  await writeFile(join(logs, `${name.replace(/2$/, '1')}-100.out`), 'prepared\n');
  const logsOf = (...args: string[]) => runCommand(folder, ['logs', '--run', 'runs/logs', ...args]);
  expect((await logsOf('one')).output).toBe('a\nb\nÜ\nslurmstepd: CANCELLED DUE TO TIME LIMIT\n');
  expect((await logsOf('one', '--lines', '2')).output).toBe('Ü\nslurmstepd: CANCELLED DUE TO TIME LIMIT\n');
  expect((await logsOf('one', '--attempt', '1')).output).toMatch(/^first start\n/);
  expect((await logsOf()).output).toBe(
    '==> one, start 2 of 2\na\nb\nÜ\nslurmstepd: CANCELLED DUE TO TIME LIMIT\n==> two\n(no output yet)\n',
  );
  expect((await logsOf('--job', 'preparation')).output).toBe('prepared\n');
  for (const [args, message] of [
    [['three'], /has no member "three" → name one of one, two/],
    [['one', '--attempt', '3'], /2 starts on a cluster, and none with number 3/],
    [['--attempt', '1'], /--attempt counts the starts of one member/],
    [['one', '--job', 'evaluation'], /is not the output of a member/],
  ] as const)
    expect((await logsOf(...args)).output).toMatch(message);
});

test.each(['thread', 'process'])('stop and logs of a run in a %s of this machine', async (isolation) => {
  await writeFile(join(folder, 'long.yaml'), recipeOf({ epochs: 500, edge: 16 }));
  const run = `local-${isolation}`;
  let stopped: ReturnType<typeof runCommand> | undefined;
  const ended = await train(folder, run, {
    recipe: 'long.yaml',
    args: ['--isolation', isolation],
    watch: (output) => {
      if (/: epoch 1\/500/.test(output)) stopped ??= runCommand(folder, ['stop', '--run', run]);
    },
  });
  expect(ended.code).toBe(130);
  expect((await stopped)!.output).toMatch(
    /asked process \d+ to stop after its present step\nprocess \d+ has stopped/,
  );
  expect((await stopped)!.code).toBe(0);
  const { output } = await runCommand(folder, ['logs', '--run', run, 'one', '--lines', '5']);
  expect(output).toBe(
    (await readFile(join(folder, run, 'members', 'one', 'log.txt'), 'utf8'))
      .trimEnd()
      .split('\n')
      .slice(-5)
      .join('\n') + '\n',
  );
  expect((await runCommand(folder, ['stop', '--run', run])).output).toMatch(/^nothing to stop/);
});

test('stop of a run that another machine trains names that machine', async () => {
  const run = join(folder, 'elsewhere');
  await mkdir(run);
  const claim = {
    host: 'n17',
    bootId: 'b',
    pidNamespace: 'p',
    pid: 4711,
    startTime: '1',
    nonce: '0'.repeat(32),
  };
  await writeFile(
    join(run, '.claim'),
    JSON.stringify({ ...claim, claimedAt: new Date().toISOString(), command: 'x', lease: 60 }),
  );
  const { code, output } = await runCommand(folder, ['stop', '--run', 'elsewhere']);
  expect(output).toMatch(/process 4711 on n17 is at work in the folder.* → call this command on n17/);
  expect(code).toBe(1);
});

test('--follow shows what is written later', async () => {
  const { run } = { run: join(folder, 'followed') };
  await mkdir(join(run, 'members', 'one'), { recursive: true });
  await submit('followed', '--mem', '1G');
  const log = join(run, 'members', 'one', 'log.txt');
  await writeFile(log, 'before\n');
  const main = new URL('../../dist/main.js', import.meta.url).pathname;
  const child = spawn(process.execPath, [main, 'logs', '--run', run, 'one', '--follow'], {
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  let output = '';
  child.stdout.on('data', (data) => (output += String(data)));
  child.stderr.on('data', (data) => (output += String(data)));
  const until = async (text: string) => {
    while (!output.includes(text) && child.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 50));
  };
  await until('before');
  await writeFile(log, 'before\nafter\n');
  await until('after');
  child.kill('SIGINT');
  await once(child, 'close');
  expect(output).toBe('before\nafter\n');
});
