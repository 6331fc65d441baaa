// bench:scale: how the cost of index, split guard, preparation, plan, status and evaluation grows with the numbers of scans and
// members. Data sets and runs are made for it; each thing is measured in a process of its own.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { messageOf, print, printError, UserError } from '@ct-ensemble/core';
import { describeMachine } from './machine.ts';
import { makeSliceScans, makeVolumeScans, recipeText } from './scale-data.ts';
import type { Measured } from './scale-measure.ts';
import { scaleTable, type ScaleRow } from './scale-report.ts';
import type { StepSettings } from './scale-step.ts';

const usage = `Usage: nx run bench:scale -- [options]

  --scans LIST     numbers of scans (default: 1000,4000; the tables of docs/performance.md: 10000,100000)
  --members LIST   numbers of members (default: 10,100; the tables of docs/performance.md: 100,1000)
  --prepare NUMBER data sets of up to so many scans are prepared (default: 1000); the stores of larger ones are filled with copies
  --rows NUMBER    runs whose scans times members exceed this number are not evaluated (default: 1000000; a file of
                   probabilities takes about 50 bytes a scan of the data set)
  --only LIST      groups that are measured: guard, slices, scans, members, evaluate (default: all)
  --folder DIR     where data sets and runs are made and deleted again (default: a temporary folder)
  --json FILE      writes the measurements
`;

const script = (name: string) => fileURLToPath(new URL(`../dist/${name}.js`, import.meta.url));
const trainer = fileURLToPath(new URL('../../../apps/trainer/dist/main.js', import.meta.url));

const GROUPS = ['guard', 'slices', 'scans', 'members', 'evaluate'] as const;
type Group = (typeof GROUPS)[number];

interface Options {
  scans: number[];
  members: number[];
  prepare: number;
  rows: number;
  only: Group[];
  folder: string;
}

/** Runs a program and returns what it has used. @throws {UserError} if it fails. */
async function measured(program: readonly string[], folder: string): Promise<Measured & { printed: string }> {
  const report = join(folder, 'measured.json');
  await rm(report, { force: true });
  const child = spawn(
    process.execPath,
    ['--max-old-space-size=16384', '--import', script('scale-measure'), ...program],
    { env: { ...process.env, CT_ENSEMBLE_MEASURE: report }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let [printed, errors] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (printed += String(chunk)));
  child.stderr.on('data', (chunk: Buffer) => (errors += String(chunk)));
  const code = await new Promise<number | string | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exit, signal) => resolve(signal ?? exit));
  });
  if (code !== 0)
    throw new UserError(`${program.slice(0, 2).join(' ')} ended with ${code}: ${errors.trim().slice(-2000)}`);
  return { ...(JSON.parse(await readFile(report, 'utf8')) as Measured), printed: printed.trim() };
}

async function measureAll({ scans, members, prepare, rows, only, folder }: Options): Promise<ScaleRow[]> {
  const found: ScaleRow[] = [];
  const keep = (row: ScaleRow) => {
    found.push(row);
    print(scaleTable([row]).split('\n').at(-1)!);
  };
  const step = async (
    name: string,
    settings: Partial<StepSettings>,
    { quantity, ...sizes }: { quantity: string; scans?: number; members?: number },
  ) => {
    const all: StepSettings = { data: '', store: '', run: '', scans: 0, members: 1, ...settings };
    const { printed, ...used } = await measured([script('scale-step'), name, JSON.stringify(all)], folder);
    keep({ quantity, ...sizes, ...used, note: printed });
  };
  /** Makes something in a child process; nothing is reported. */
  const make = async (name: string, settings: Partial<StepSettings>) => {
    const all: StepSettings = { data: '', store: '', run: '', scans: 0, members: 1, ...settings };
    await measured([script('scale-step'), name, JSON.stringify(all)], folder);
  };
  const command = async (
    parameters: readonly string[],
    about: { quantity: string; scans?: number; members?: number },
  ) => {
    const { printed, ...used } = await measured([trainer, ...parameters], folder);
    keep({ ...about, ...used, note: `${printed.length} characters` });
  };
  const sizeOf = async (file: string) => (await stat(file)).size;

  await step('start', {}, { quantity: 'a process that only loads the libraries' });
  if (only.includes('guard'))
    for (const n of scans) await step('guard', { scans: n }, { quantity: 'split guard', scans: n });
  if (only.includes('slices'))
    for (const n of scans) {
      const data = makeSliceScans(join(folder, 'slices'), n);
      await step('index', { data }, { quantity: 'index, folders of 5 slices', scans: n });
      await rm(data, { recursive: true });
    }
  const isScanned = only.some((group) => group === 'scans' || group === 'evaluate' || group === 'members');
  for (const n of isScanned ? scans : []) {
    const data = join(folder, 'scans');
    const { table: labels, unsplit } = makeVolumeScans(data, n);
    const store = join(folder, 'volumes');
    if (only.includes('scans')) {
      await step('index', { data, labels }, { quantity: 'index, table of NIfTI files', scans: n });
      await step(
        'index-and-split',
        { data, labels: unsplit },
        { quantity: 'the same, splits drawn by patient', scans: n },
      );
    }
    if (n <= prepare)
      await step('prepare', { data, labels, store }, { quantity: 'preparation of tiny scans', scans: n });
    else await make('make-store', { data, labels, store });
    if (only.includes('scans')) {
      await step('recall', { data, labels, store }, { quantity: 'preparation, all in the store', scans: n });
      const run = join(folder, 'run');
      await step(
        'prepare-run',
        { data, labels, store, run, members: 1 },
        { quantity: 'start of a run, all in the store', scans: n, members: 1 },
      );
      await step(
        'prepare-run',
        { data, labels, store, run, members: 1 },
        { quantity: 'the same again', scans: n, members: 1 },
      );
      await step('member-start', { run }, { quantity: "a member reads the run's scans", scans: n });
      for (const name of ['scans.msgpack', 'dataset.json', 'plan.json'])
        print(`    ${name}: ${await sizeOf(join(run, name))} bytes`);
      await rm(run, { recursive: true });
    }
    const isSmallest = n === scans[0];
    for (const m of members) {
      const run = join(folder, `run-${m}`);
      const sizes = { scans: n, members: m };
      if (only.includes('members') && isSmallest) {
        await step(
          'prepare-run',
          { data, labels, store, run, members: m },
          { quantity: 'start of a run, all in the store', ...sizes },
        );
        print(`    plan.json: ${await sizeOf(join(run, 'plan.json'))} bytes`);
        const recipe = join(folder, 'recipe.yaml');
        await writeFile(recipe, recipeText(m, { isWithSplit: false }));
        const options = [
          '--data',
          data,
          '--labels',
          labels,
          '--recipe',
          recipe,
          '--devices',
          'cpu:1',
          '--engine',
          'cpu',
          '--run',
          join(folder, 'other'),
        ];
        await command(['all-members', '--dry-run', ...options], {
          quantity: 'all-members --dry-run',
          ...sizes,
        });
        await make('make-members', { run });
        await command(['status', '--run', run], { quantity: 'trainer:status', ...sizes });
        await step('status', { run }, { quantity: 'state of a run', ...sizes });
        await step(
          'status-11-times',
          { run },
          { quantity: 'the same eleven times, as the dashboard', ...sizes },
        );
        await rm(run, { recursive: true });
      }
      if (only.includes('evaluate') && n * m <= rows) {
        await make('prepare-run', { data, labels, store, run, members: m });
        await make('make-probabilities', { run });
        await step('evaluate', { run }, { quantity: 'scores of a run', ...sizes });
        await rm(run, { recursive: true });
      }
    }
    await rm(data, { recursive: true });
    await rm(store, { recursive: true });
  }
  return found;
}

function numbers(text: string, option: string): number[] {
  const parts = text.split(',').map(Number);
  if (parts.every((part) => Number.isInteger(part) && part > 0)) return parts;
  throw new UserError(`--${option} is ${JSON.stringify(text)}`, { remedy: 'give whole numbers above 0' });
}

async function main() {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      scans: { ...text, default: '1000,4000' },
      members: { ...text, default: '10,100' },
      prepare: { ...text, default: '1000' },
      rows: { ...text, default: '1000000' },
      only: { ...text, default: GROUPS.join(',') },
      folder: text,
      json: text,
      help: { type: 'boolean' },
    },
  });
  if (values.help) return print(usage);
  if (!existsSync(trainer))
    throw new UserError('the command trainer is not built', {
      file: trainer,
      remedy: 'npx nx run trainer:build',
    });
  const only = values.only.split(',');
  const unknown = only.find((name) => !(GROUPS as readonly string[]).includes(name));
  if (unknown !== undefined) throw new UserError(`--only: ${unknown} is none of ${GROUPS.join(', ')}`);
  const parent = values.folder ?? tmpdir();
  await mkdir(parent, { recursive: true });
  const folder = await mkdtemp(join(parent, 'ct-ensemble-scale-'));
  try {
    const found = await measureAll({
      scans: numbers(values.scans, 'scans'),
      members: numbers(values.members, 'members'),
      prepare: numbers(values.prepare, 'prepare')[0]!,
      rows: numbers(values.rows, 'rows')[0]!,
      only: only as Group[],
      folder,
    });
    const { cpu, cores } = await describeMachine();
    print(`\n${cpu}, ${cores} cores, Node ${process.version}\n\n${scaleTable(found)}`);
    if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(found, null, 2)}\n`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

try {
  await main();
} catch (error) {
  printError(error instanceof UserError ? error.message : `error: ${messageOf(error)}`);
  process.exitCode = 1;
}
