// Tensors, handles, functions and resident memory do not grow over many steps, captures, engines and members. The runs are
// short here; `nx run engine:endurance` runs the full lengths and prints the numbers.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const full = process.env['CT_ENSEMBLE_ENDURANCE'] === '1';

interface Measurement {
  i: number;
  megabytes: number;
  tensors: number;
  tfjs: number;
  /** Number of captured functions that TensorFlow holds. */
  functions: number;
}

/** Repeats one kind of work `times` times in a separate process and measures after every `every` rounds. */
async function endure(what: string, times: number, every: number): Promise<Measurement[]> {
  const program = fileURLToPath(new URL('../fixtures/endurance.mjs', import.meta.url));
  const args = ['--expose-gc', program, what, String(times), String(every)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: plainEnvironment() });
  const measurements = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Measurement);
  if (full) process.stdout.write(table(what, measurements));
  return measurements;
}

/** The measurements as a table. */
function table(what: string, measurements: readonly Measurement[]): string {
  const lines = measurements.map(({ i, megabytes, tensors, functions }) =>
    [i, megabytes.toFixed(1), tensors, functions].map((figure) => `${figure}`.padStart(10)).join(''),
  );
  return `\n${what.padEnd(10)}${'MB'.padStart(10)}${'tensors'.padStart(10)}${'functions'.padStart(10)}\n${lines.join('\n')}\n`;
}

/** The environment without Jest's own Node options. */
function plainEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, NODE_OPTIONS: '' };
}

/** Growth in megabytes from round `from` to the last measurement. */
const growth = (measurements: readonly Measurement[], from: number) =>
  measurements.at(-1)!.megabytes - measurements.find(({ i }) => i === from)!.megabytes;
const counts = (measurements: readonly Measurement[]) =>
  new Set(measurements.map(({ tensors, tfjs, functions }) => `${tensors} ${tfjs} ${functions}`));

const limit = full ? 300_000 : 180_000; // ms

it(
  'captured steps with Adam: from the 200th on flat',
  async () => {
    const measurements = await endure('steps', full ? 1000 : 300, 100);
    expect(counts(measurements).size).toBe(1);
    expect(growth(measurements, 200)).toBeLessThan(20);
  },
  limit,
);

it(
  'steps captured and disposed again',
  async () => {
    const measurements = full ? await endure('captures', 300, 50) : await endure('captures', 40, 10);
    expect(counts(measurements).size).toBe(1);
    expect(measurements.at(-1)!.functions).toBe(0);
    expect(growth(measurements, full ? 100 : 10)).toBeLessThan(20);
  },
  limit,
);

it(
  'engines opened and closed in one thread, their steps not disposed',
  async () => {
    const measurements = full ? await endure('engines', 50, 10) : await endure('engines', 12, 3);
    expect(counts(measurements).size).toBe(1);
    expect(measurements.at(-1)).toMatchObject({ tensors: 0, functions: 0 });
    expect(growth(measurements, full ? 10 : 3)).toBeLessThan(20);
  },
  limit,
);

it(
  'members one after another, each in a worker thread with an engine of its own and 16 MB',
  async () => {
    // A leak of the weights alone would be 16 MB per member: 640 MB over 40 members, 80 MB over 5.
    const measurements = full ? await endure('members', 50, 5) : await endure('members', 9, 1);
    expect(growth(measurements, full ? 10 : 4)).toBeLessThan(full ? 24 : 40);
  },
  limit,
);
