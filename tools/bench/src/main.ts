// engine:bench: times training and evaluation in turn with PyTorch's. A missed target is a result, not an error.
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { codeOf, messageOf, UserError, writeFileAtomic, writeJson } from '@ct-ensemble/core';
import { EngineError, pythonEnvironment } from '@ct-ensemble/engine';
import { chooseCases } from './cases.ts';
import { describeMachine } from './machine.ts';
import { measureCase } from './measure.ts';
import { type Options, readOptions, usage } from './options.ts';
import { markdown, type Report, resultLines, withTable } from './report.ts';
import { sidesWith } from './side.ts';
import { writeStartFiles } from './start-files.ts';

async function bench({ cases: names, common, replacements, python, ...files }: Options) {
  const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-bench-'));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      rmSync(folder, { recursive: true, force: true });
      process.exit(1); // the sides end when their standard input is closed
    });
  }
  try {
    const start = {
      weights: join(folder, 'weights.safetensors'),
      volumes: join(folder, 'volumes.safetensors'),
    };
    const cases = chooseCases(names, { ...common, ...start }, replacements);
    if (files.markdown !== undefined) withTable(await textOf(files.markdown), '', files.markdown);
    const peers = cases.filter(({ peer }) => peer.library === 'pytorch').map(({ peer }) => peer.architecture);
    if (peers.length > 0)
      await requirePyTorch(
        python,
        peers.some((name) => /^inception_(v4|resnet_v2)$/.test(name)),
      );
    const machine = await describeMachine();
    const report: Report = { date: new Date().toISOString().slice(0, 10), machine, cases: [] };
    for (const benchCase of cases) {
      await writeStartFiles(start, benchCase.here);
      const result = await measureCase(benchCase, sidesWith(python), console.log);
      report.cases.push(result);
      for (const line of resultLines(result)) console.log(line);
      await keep(report, files); // after every case: a later one may fail
    }
    console.log(`\n${markdown(report)}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function keep(report: Report, { json, markdown: file }: Pick<Options, 'json' | 'markdown'>) {
  if (json !== undefined) await writeJson(json, report);
  if (file !== undefined) await writeFileAtomic(file, withTable(await textOf(file), markdown(report), file));
}

async function requirePyTorch(python: string, andTimm: boolean) {
  const packages = ['torch', 'torchvision', ...(andTimm ? ['timm'] : [])];
  // With -c, Python would import modules of the current folder first.
  const program = `import sys; sys.path = [p for p in sys.path if p]; import ${packages.join(', ')}`;
  const env = pythonEnvironment();
  await promisify(execFile)(python, ['-c', program], { env }).catch((error: unknown) => {
    const reason = messageOf(error).trim().split('\n').at(-1)!;
    throw new UserError(`${python} cannot import ${packages.join(' and ')} (${reason})`, {
      remedy:
        `install them (python3 -m venv DIR && DIR/bin/pip install ${packages.join(' ')}) and name that Python: ` +
        '--python DIR/bin/python',
    });
  });
}

async function textOf(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

try {
  const options = readOptions(process.argv.slice(2));
  if (options === 'help') console.log(usage);
  else await bench(options);
} catch (error) {
  const known = error instanceof UserError || error instanceof EngineError;
  console.error(known ? `error: ${messageOf(error)}` : error);
  process.exitCode = 1;
}
