// cluster-lab:run: trains an ensemble of six members on a throw-away Slurm cluster of three nodes while nodes die, are cut from the
// network and come back, and compares every file of weights and probabilities with those of a training on one machine.
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { print, sha256OfFile, UserError } from '@ct-ensemble/core';
import { type Lab, openLab, output } from './lab.ts';

const usage = `Usage: nx run cluster-lab:run -- [options] [SCENARIO…]

  --lab FILE     the script slurm-lab.sh (default: slurm-lab/slurm-lab.sh in CT_ENSEMBLE_SHARED, else in ../shared)
  --folder DIR   folder for the runs and the cluster's files (default: a new one, which is deleted when all is well)
  --epochs N     epochs of each member (default: 120)

Root's rights and the packages munge, slurmctld, slurmd, slurm-client and iproute2 are needed.
`;

const dist = (app: string) => fileURLToPath(new URL(`../../../apps/${app}/dist/main.js`, import.meta.url));
const members = ['one', 'two', 'three', 'four', 'five', 'six'];
/** Longest time of a scenario, in seconds. */
const patience = 900;

/** The nodes of the cluster have 4 GB each. */
const SITE = `
signalSeconds: 60
preparation: { mem: 1200M, cpus: 1 }
evaluation: { mem: 1200M, cpus: 1 }
`;

const recipeOf = (epochs: number) => `
name: lab
task: detection
description: Six small members for the cluster.
volume: { depth: 16, height: 32, width: 32 }
members:
${members.map((name, i) => `  - { name: ${name}, architecture: densenet_small, seed: ${i + 1} }`).join('\n')}
training:
  epochs: ${epochs}
  batchSize: 4
  loss: { name: focal, gamma: 1.5 }
  optimizer: { name: adam }
  learningRate: [{ from: 0, rate: 1e-3 }]
  augmentation: { rotate: 10, flipHorizontal: 0.5 }
submissions:
  - { name: all, members: [${members.join(', ')}] }
`;

interface Bench {
  lab: Lab;
  folder: string;
  recipe: string;
  site: string;
  data: string;
  store: string;
}

/** One submission of the recipe, in a folder whose name has spaces and quotes. */
class Run {
  readonly folder: string;
  private readonly bench: Bench;

  constructor(name: string, bench: Bench) {
    this.bench = bench;
    this.folder = join(bench.folder, `the run "${name}" of the user's $HOME`);
  }

  async submit({ time = '30', mem = '1500M' } = {}): Promise<string> {
    const { recipe, data, store } = this.bench;
    return this.trainer('all-members', [
      ...['--on', 'slurm', '--recipe', recipe, '--data', data, '--volumes', store, '--devices', 'cpu:1'],
      ...['--site', this.bench.site, '--time', time, '--mem', mem, '--sbatch=--gres=gpu:1'],
      ...['--checkpoint-minutes', '0.02'],
    ]);
  }

  async trainer(command: string, args: string[] = []): Promise<string> {
    const { lab } = this.bench;
    const all = [dist('trainer'), command, '--run', this.folder, ...args];
    const { code, stdout, stderr } = await lab.run(process.execPath, all);
    if (code !== 0) throw new Error(`trainer ${command} ended with ${code}:\n${stdout}${stderr}`);
    return stdout;
  }

  member = (name: string, ...path: string[]) => join(this.folder, 'members', name, ...path);

  async progress(name: string): Promise<{ host: string; epoch: number | null; state: string } | undefined> {
    const text = await readFile(this.member(name, 'progress.json'), 'utf8').catch(() => undefined);
    return text === undefined ? undefined : JSON.parse(text);
  }

  /** The hosts on which the member was started, in this order. */
  async starts(name: string): Promise<string[]> {
    const text = await readFile(this.member(name, 'starts.jsonl'), 'utf8').catch(() => '');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => (JSON.parse(line) as { host: string }).host);
  }

  isDone = (name: string) => existsSync(this.member(name, 'done.json'));

  /** Waits until a member trains on a node and has finished three epochs; returns both. */
  async training(): Promise<{ member: string; node: string }> {
    return this.until('no member trains', async () => {
      for (const member of members) {
        const now = await this.progress(member);
        if (now?.state === 'training' && (now.epoch ?? 0) > 3 && !this.isDone(member))
          return { member, node: now.host };
      }
      return undefined;
    });
  }

  /** Waits until the member was started a second time; returns the hosts of all its starts. */
  startedAgain = (member: string) =>
    this.until(`${member} was not started again`, async () => {
      const starts = await this.starts(member);
      return starts.length > 1 ? starts : undefined;
    });

  /** Waits until the queue has no job any more. */
  ended = () =>
    this.until('jobs remain in the queue', async () =>
      (await this.bench.lab.queue()).length === 0 ? true : undefined,
    );

  async until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
    const start = performance.now();
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      if (performance.now() - start > patience * 1000)
        throw new Error(`${what} after ${patience} s:\n${(await this.bench.lab.queue()).join('\n')}`);
      await sleep(500);
    }
  }
}

/** Digests of the weights and probabilities of a member. */
async function digestsOf(folder: string, member: string): Promise<string> {
  const files = [
    'checkpoints/best.safetensors',
    'checkpoints/last.safetensors',
    'probabilities/val.json',
    'probabilities/test.json',
  ];
  const digests = files.map((file) =>
    sha256OfFile(join(folder, 'members', member, file)).catch(() => 'missing'),
  );
  return (await Promise.all(digests)).join(' ');
}

async function requireEqual(run: Run, reference: string) {
  for (const member of members) {
    const [own, wanted] = await Promise.all([digestsOf(run.folder, member), digestsOf(reference, member)]);
    if (wanted.includes('missing')) throw new Error(`the run on one machine has not finished ${member}`);
    if (own !== wanted) throw new Error(`${member} differs from the run on one machine:\n${own}\n${wanted}`);
    const left = (await readdir(run.member(member, 'checkpoints'))).filter((name) => name.endsWith('.tmp'));
    if (left.length > 0) throw new Error(`${member} has left temporary files: ${left.join(', ')}`);
  }
}

type Scenario = (run: Run, bench: Bench) => Promise<string>;

const scenarios: Record<string, Scenario> = {
  /** Six members on three nodes; a second call submits nothing. */
  async plain(run, { lab }) {
    await run.submit();
    const first = (await lab.queue()).length;
    await run.submit();
    const second = (await lab.queue()).length;
    if (second > first) throw new Error(`the second call submitted jobs: ${first} jobs, then ${second}`);
    await run.ended();
    const hosts = new Set((await Promise.all(members.map((name) => run.starts(name)))).flat());
    if (!existsSync(join(run.folder, 'report', 'report.html')))
      throw new Error('the evaluation job wrote no report');
    return `members ran on ${[...hosts].sort().join(', ')}`;
  },

  /** A node loses its power while a member trains there, and comes back. */
  async killed(run, { lab }) {
    await run.submit();
    const { member, node } = await run.training();
    await lab.killNode(node);
    const starts = await run.startedAgain(member);
    await lab.startNode(node);
    await run.ended();
    return `${member} on ${starts.join(', then ')}`;
  },

  /** A node is cut from the network and joined again: for a while two copies of its members train. */
  async cut(run, { lab }) {
    // With so little memory all members fit on two nodes, and the third has room for those of the node that is cut.
    await run.submit({ mem: '600M' });
    const { member, node } = await run.training();
    await lab.cutNode(node);
    const starts = await run.startedAgain(member);
    await sleep(3000);
    await lab.joinNode(node);
    await run.ended();
    return `${member} on ${starts.join(', then ')}; ${await leavingOf(run, member)}`;
  },

  /** The controller is killed and started again with its saved state. */
  async controller(run, { lab }) {
    await run.submit();
    await run.training();
    await lab.restartController();
    await sleep(5000);
    await run.ended();
    return startsOf(run);
  },

  /** The jobs reach their time limit, are warned, and go on in the queue. */
  async limit(run) {
    await run.submit({ time: '2' });
    await run.ended();
    return startsOf(run);
  },

  /** One member cannot write its checkpoints; the others end, and the next call trains it. */
  async failing(run) {
    await mkdir(run.member('four'), { recursive: true });
    await writeFile(run.member('four', 'checkpoints'), 'not a folder');
    await run.submit();
    await run.ended();
    const done = members.filter(run.isDone);
    if (done.length !== 5 || run.isDone('four')) throw new Error(`done: ${done.join(', ')}`);
    const failed = await readFile(run.member('four', 'failed.json'), 'utf8');
    const report = await readFile(join(run.folder, 'report', 'report.html'), 'utf8');
    if (!report.includes('four')) throw new Error('the report does not name the missing member');
    await rm(run.member('four', 'checkpoints'));
    await run.submit();
    await run.ended();
    return `four failed (${(JSON.parse(failed) as { reason: string }).reason}), then was trained`;
  },

  /** The run is stopped, and submitted again. */
  async stopped(run, { lab }) {
    await run.submit();
    await run.training();
    await run.trainer('stop');
    await run.ended();
    const before = members.filter(run.isDone).length;
    await run.submit();
    if ((await lab.queue()).length === 0) throw new Error('the second submission submitted nothing');
    await run.ended();
    return `${before} members were done when it was stopped`;
  },
};

async function startsOf(run: Run): Promise<string> {
  const counts = await Promise.all(members.map(async (name) => (await run.starts(name)).length));
  return `starts of the members: ${counts.join(', ')}`;
}

/** What the log of a member says of a copy that left it to a newer one. */
async function leavingOf(run: Run, member: string): Promise<string> {
  const folder = join(run.folder, 'slurm', 'logs');
  for (const file of await readdir(folder)) {
    const text = await readFile(join(folder, file), 'utf8');
    const line = text.split('\n').find((line) => /A newer start owns/.test(line) && line.includes(member));
    if (line !== undefined) return `its older copy: ${line.trim()}`;
  }
  throw new Error(`no log says that the older copy of ${member} left`);
}

async function labScript(named: string | undefined): Promise<string> {
  const shared =
    process.env['CT_ENSEMBLE_SHARED'] ?? fileURLToPath(new URL('../../../../shared', import.meta.url));
  const file = resolve(named ?? join(shared, 'slurm-lab', 'slurm-lab.sh'));
  if (existsSync(file)) return file;
  throw new UserError('there is no such script, which starts the cluster', {
    file,
    remedy: 'name it with --lab',
  });
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      help: { type: 'boolean' },
      lab: { type: 'string' },
      folder: { type: 'string' },
      epochs: { type: 'string', default: '120' },
    },
  });
  if (values.help) {
    print(usage);
    return 0;
  }
  const chosen = positionals.length === 0 ? Object.keys(scenarios) : positionals;
  for (const name of chosen)
    if (!(name in scenarios))
      throw new UserError(`there is no scenario ${name}: ${Object.keys(scenarios).join(', ')}`);
  const script = await labScript(values.lab);
  const folder = values.folder
    ? resolve(values.folder)
    : await mkdtemp(join(tmpdir(), 'ct-ensemble-cluster-lab-'));
  await mkdir(folder, { recursive: true });
  const lab = openLab({ script, folder: join(folder, 'cluster'), nodes: 3 });
  const bench = {
    lab,
    folder,
    recipe: join(folder, 'lab.yaml'),
    site: join(folder, 'site.yaml'),
    data: join(folder, 'phantoms'),
    store: join(folder, 'volumes'),
  };
  await writeFile(bench.site, SITE);
  await writeFile(bench.recipe, recipeOf(Number(values.epochs)));
  const reference = join(folder, 'one machine');
  if (!existsSync(join(reference, 'members', members.at(-1)!, 'done.json'))) {
    print('Training on one machine …');
    await requireSuccess(process.execPath, [
      fileURLToPath(new URL('../../phantoms/dist/main.js', import.meta.url)),
      ...['--out', bench.data],
    ]);
    await requireSuccess(process.execPath, [
      ...[dist('trainer'), 'all-members', '--run', reference, '--recipe', bench.recipe, '--data', bench.data],
      ...['--volumes', join(folder, 'volumes of one machine'), '--devices', 'cpu:1,cpu:1'],
    ]);
  }
  let failures = 0;
  await lab.start();
  try {
    for (const name of chosen) {
      const start = performance.now();
      const run = new Run(name, bench);
      await rm(run.folder, { recursive: true, force: true });
      try {
        const what = await scenarios[name]!(run, bench);
        await requireEqual(run, reference);
        print(`ok      ${name}: ${what}; bytes equal (${Math.round((performance.now() - start) / 1000)} s)`);
      } catch (error) {
        failures++;
        print(`FAILED  ${name}: ${(error as Error).message}`);
        await lab.run('scancel', ['--user', 'root']);
        await run.ended().catch(() => {});
      }
    }
  } finally {
    await lab.stop();
  }
  print(`${chosen.length - failures} passed, ${failures} failed`);
  if (failures === 0 && values.folder === undefined) await rm(folder, { recursive: true, force: true });
  else print(`files: ${folder}`);
  return failures === 0 ? 0 : 1;
}

async function requireSuccess(program: string, args: string[]) {
  const { code, stdout, stderr } = await output(program, args);
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
}

process.exitCode = await main();
