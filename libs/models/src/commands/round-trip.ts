// models:round-trip: writes files of every network, lets PyTorch (strict=True) and ONNX Runtime compute logits from them, and
// compares these with the logits computed here.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { codeOf, messageOf, print, UserError, writeFileAtomic } from '@ct-ensemble/core';
import { openEngine, pythonEnvironment } from '@ct-ensemble/engine';
import { Command } from 'commander';
import { z } from 'zod';
import { writeEnsemble } from '../onnx/ensemble-round-trip.ts';
import { architectureNames } from '../registry.ts';
import { type RoundTrip, writeRoundTrip } from '../weights/round-trip.ts';

const script = fileURLToPath(new URL('../../fixtures/round-trip.py', import.meta.url));
const recordOf = (name: string) => fileURLToPath(new URL(`../../src/fixtures/${name}.json`, import.meta.url));
const limit = 1e-4;

/** Infinite values and NaN are null in the script's JSON. */
const logits = z.array(z.number().nullable());

const answer = z.object({
  versions: z.record(z.string(), z.string()),
  networks: z.record(
    z.string(),
    z.object({
      pytorch: logits.nullable(),
      onnxruntime: logits,
      probabilities: z.number(),
    }),
  ),
  ensemble: z.object({ members: z.array(z.number()), probabilities: z.array(z.number()) }),
});

interface Options {
  python: string;
  networks?: string[];
  record?: boolean;
}

const words = (text: string) => (text === '' ? [] : text.split(','));

export function roundTripCommand(): Command {
  return new Command('round-trip')
    .description('Lets PyTorch and ONNX Runtime read the files written here: exit code 1 if logits differ.')
    .option(
      '--python <path>',
      'a Python that has torch, torchvision, timm, safetensors, onnx and onnxruntime',
      'python3',
    )
    .option('--networks <names>', 'only these networks and the ensemble; "" for none', words)
    .option('--record', 'write the results to the fixtures of the tests')
    .action(async ({ python, networks: chosen, record: keeps }: Options) => {
      const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-round-trip-'));
      try {
        const { networks: ours, ensemble: own } = await written(folder, chosen ?? architectureNames());
        const { versions, networks, ensemble } = answer.parse(JSON.parse(await run(python, folder)));
        let ok = true;
        for (const [name, { logits: own }] of Object.entries(ours)) {
          const { pytorch, onnxruntime, probabilities } = networks[name]!;
          const far = [pytorch && distance(own, pytorch), distance(own, onnxruntime), probabilities];
          if (!far.every((value) => value === null || value <= limit)) ok = false;
          const [strict, onnx, softmax] = far.map((value) => value?.toExponential(1) ?? 'not available');
          print(
            `${name}: greatest |Δ| of logits, PyTorch ${strict}, ONNX Runtime ${onnx}; probabilities ${softmax}`,
          );
        }
        const far = (['members', 'probabilities'] as const).map((of) => distance(own[of], ensemble[of]));
        if (!far.every((value) => value <= limit)) ok = false;
        print(`ensemble: greatest |Δ| of probabilities, ONNX Runtime ${Math.max(...far).toExponential(1)}`);
        print(`${JSON.stringify(versions)}: ${ok ? 'ok' : 'NOT ok'}`);
        if (!ok) process.exitCode = 1;
        if (!ok || !keeps) return;
        if (chosen === undefined)
          await writeFileAtomic(recordOf('round-trip'), recorded(versions, ours, networks));
        const { onnx } = own;
        await writeFileAtomic(recordOf('ensemble'), `${JSON.stringify({ versions, onnx, ...ensemble })}\n`);
      } finally {
        await rm(folder, { recursive: true, force: true });
      }
    });
}

async function written(folder: string, names: readonly string[]) {
  const engine = await openEngine({ engine: 'tensorflow' });
  try {
    const all: Record<string, RoundTrip> = {};
    for (const name of names) all[name] = await writeRoundTrip(name, folder);
    await writeFile(join(folder, 'networks.json'), JSON.stringify(all));
    const ensemble = await writeEnsemble(folder);
    await writeFile(join(folder, 'ensemble.json'), JSON.stringify(ensemble));
    return { networks: all, ensemble };
  } finally {
    engine.close();
  }
}

async function run(python: string, folder: string): Promise<string> {
  try {
    return (
      await promisify(execFile)(python, [script, folder], { maxBuffer: 1 << 26, env: pythonEnvironment() })
    ).stdout;
  } catch (error) {
    const missing = /ModuleNotFoundError: (.*)/.exec(messageOf(error))?.[1];
    if (codeOf(error) !== 'ENOENT' && missing === undefined) throw error;
    throw new UserError(missing ?? 'there is no such program', {
      file: python,
      remedy: `${python} -m pip install torch torchvision timm safetensors onnx onnxruntime, or give --python PATH`,
      cause: error,
    });
  }
}

const distance = (ours: readonly number[], theirs: readonly (number | null)[]) =>
  ours.length === theirs.length
    ? Math.max(...ours.map((value, i) => Math.abs(value - (theirs[i] ?? NaN))))
    : NaN;

/** The fixture's text: one line for each network. */
function recorded(
  versions: object,
  ours: Record<string, RoundTrip>,
  networks: z.infer<typeof answer>['networks'],
) {
  const lines = Object.entries(ours).map(([name, { safetensors, onnx }]) => {
    const { pytorch, onnxruntime } = networks[name]!;
    return `  ${JSON.stringify(name)}: ${JSON.stringify({ safetensors, onnx, pytorch, onnxruntime })}`;
  });
  return `{\n "versions": ${JSON.stringify(versions)},\n "networks": {\n${lines.join(',\n')}\n }\n}\n`;
}
