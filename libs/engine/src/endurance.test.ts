// Nothing piles up: tensors, handles, functions and resident memory over many steps, captures, engines and members. Short
// here; `nx run engine:endurance` runs the full lengths and prints the numbers.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const full = process.env['CT_ENSEMBLE_ENDURANCE'] === '1';

interface Look {
  i: number;
  megabytes: number;
  tensors: number;
  tfjs: number;
  /** Captured functions that TensorFlow holds. */
  functions: number;
}

/** What remained after every so many rounds of one kind of work. */
async function endure(what: string, times: number, every: number): Promise<Look[]> {
  const program = fileURLToPath(new URL('../fixtures/endurance.mjs', import.meta.url));
  const args = ['--expose-gc', program, what, String(times), String(every)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: plainEnvironment() });
  const looks = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Look);
  if (full) process.stdout.write(table(what, looks));
  return looks;
}

/** The figures for a person. */
function table(what: string, looks: readonly Look[]): string {
  const lines = looks.map(({ i, megabytes, tensors, functions }) =>
    [i, megabytes.toFixed(1), tensors, functions].map((figure) => `${figure}`.padStart(10)).join(''),
  );
  return `\n${what.padEnd(10)}${'MB'.padStart(10)}${'tensors'.padStart(10)}${'functions'.padStart(10)}\n${lines.join('\n')}\n`;
}

/** Jest's own options are not for the process that is measured. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, NODE_OPTIONS: '' };
}

/** Megabytes that a run gained from one look to the last. */
const growth = (looks: readonly Look[], from: number) =>
  looks.at(-1)!.megabytes - looks.find(({ i }) => i === from)!.megabytes;
const counts = (looks: readonly Look[]) =>
  new Set(looks.map(({ tensors, tfjs, functions }) => `${tensors} ${tfjs} ${functions}`));

const limit = full ? 300_000 : 60_000;

it(
  'captured steps with Adam: from the 200th on flat',
  async () => {
    const looks = await endure('steps', full ? 1000 : 300, 100);
    expect(counts(looks).size).toBe(1);
    expect(growth(looks, 200)).toBeLessThan(20);
  },
  limit,
);

it(
  'steps captured and disposed again',
  async () => {
    const looks = full ? await endure('captures', 300, 50) : await endure('captures', 40, 10);
    expect(counts(looks).size).toBe(1);
    expect(looks.at(-1)!.functions).toBe(0);
    expect(growth(looks, full ? 100 : 10)).toBeLessThan(20);
  },
  limit,
);

it(
  'engines opened and closed in one thread, their steps not disposed',
  async () => {
    const looks = full ? await endure('engines', 50, 10) : await endure('engines', 12, 3);
    expect(counts(looks).size).toBe(1);
    expect(looks.at(-1)).toMatchObject({ tensors: 0, functions: 0 });
    expect(growth(looks, full ? 10 : 3)).toBeLessThan(20);
  },
  limit,
);

it(
  'members one after another, each in a worker thread with an engine of its own and 16 MB',
  async () => {
    const looks = full ? await endure('members', 50, 5) : await endure('members', 6, 1);
    expect(growth(looks, full ? 10 : 3)).toBeLessThan(24);
  },
  limit,
);
