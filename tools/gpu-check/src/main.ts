#!/usr/bin/env node
// gpu-check:run: checks the engine on a machine with NVIDIA GPUs, part by part, and writes a report for docs/.
import { spawnSync } from 'node:child_process';
import { cpus, release, totalmem, type as systemName } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { messageOf, UserError, writeFileAtomic, writeJson } from '@ct-ensemble/core';
import { type Gpu, gpusHere } from './gpus.ts';
import { commandLine, type Part, planOf } from './plan.ts';
import { markdownOf, type Outcome, type Report } from './report.ts';
import { runPart } from './run-part.ts';

const USAGE = `Usage: nx run gpu-check:run -- [options]

Installs TensorFlow with CUDA, then runs tests, conformance, determinism, members on one GPU and on several, and the
benchmark. It continues after a failed part; the exit code is 1 if any part failed.

  --wheels DIR   a folder with the wheels (default: they are downloaded, 3.4 GB)
  --python PATH  a Python with torch and torchvision, for the benchmark (default: python3)
  --parts LIST   only these parts, separated by commas
  --report FILE  path of the report without .md and .json (default: docs/gpu-check)
  --work DIR     folder for logs and runs (default: runs/gpu-check)
  --dry-run      only prints the commands
`;

const root = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');

for (const [signal, code] of [['SIGINT', 130], ['SIGTERM', 143]] as const) process.on(signal, () => process.exit(code)); // prettier-ignore
try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

async function main(): Promise<number> {
  const options = readOptions();
  if (options.help) return (console.log(USAGE), 0);
  const gpus = options['dry-run'] ? [] : gpusHere();
  const parts = chosen(planOf(options, options['dry-run'] ? 2 : gpus.length), options.parts);
  if (options['dry-run']) {
    for (const part of parts) console.log(`# ${part.name}: ${part.claim}\n${commandLine(part)}`);
    return 0;
  }
  const report: Report = { ...setting(gpus), outcomes: [] };
  for (const part of parts) {
    console.log(`${part.name}: ${part.claim}`);
    const outcome = await runPart(part, { root, work: resolve(root, options.work) });
    report.outcomes.push(outcome);
    console.log(lineOf(outcome));
    await write(report, resolve(root, options.report)); // after every part, so that no result is lost
    if (outcome.name === 'install' && outcome.verdict === 'failed') break; // all other parts need the installation
  }
  const failed = report.outcomes.filter(({ verdict }) => verdict === 'failed').length;
  console.log(
    `${report.outcomes.length - failed} parts without failure, ${failed} failed: ${options.report}.md`,
  );
  return failed === 0 ? 0 : 1;
}

function readOptions() {
  const text = { type: 'string' } as const;
  try {
    const { values } = parseArgs({
      options: {
        wheels: text,
        python: text,
        parts: text,
        report: { ...text, default: join('docs', 'gpu-check') },
        work: { ...text, default: join('runs', 'gpu-check') },
        'dry-run': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    const { wheels, python, parts, ...rest } = values;
    return { ...rest, wheels, python, parts: parts?.split(',').map((name) => name.trim()) };
  } catch (error) {
    throw new UserError(messageOf(error), { remedy: 'see --help', cause: error });
  }
}

function chosen(parts: Part[], names: string[] | undefined): Part[] {
  if (names === undefined) return parts;
  const unknown = names.find((name) => !parts.some((part) => part.name === name));
  if (unknown === undefined) return parts.filter(({ name }) => names.includes(name));
  throw new UserError(`--parts: there is no part "${unknown}"`, {
    remedy: `the parts are ${parts.map(({ name }) => name).join(', ')}`,
  });
}

function lineOf({ verdict, seconds, reason, log }: Outcome) {
  const why = reason === undefined ? '' : `: ${reason}`;
  const where = verdict === 'failed' ? ` → ${log}` : '';
  return `  ${verdict}${why}, ${seconds.toFixed(0)} s${where}`;
}

function setting(gpus: Gpu[]): Omit<Report, 'outcomes'> {
  const git = spawnSync('git', ['describe', '--always', '--dirty'], { cwd: root, encoding: 'utf8' });
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: git.stdout?.trim() || 'unknown',
    gpus,
    machine: {
      cpu: cpus()[0]?.model ?? 'unknown CPU',
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      node: process.versions.node,
      system: `${systemName()} ${release()}`,
    },
  };
}

async function write(report: Report, path: string) {
  await writeFileAtomic(`${path}.md`, markdownOf(report));
  await writeJson(`${path}.json`, report);
}
