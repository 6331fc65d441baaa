// The doctor on simulated machines, and at the end on the real one.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { cudaLibraries, examine, lineOf, type Machine } from './doctor.ts';
import { EngineError } from '../errors.ts';

const SITE = '/opt/site-packages';
const cpu = { name: 'CPU:0', kind: 'cpu', index: 0, memory: 16 * 2 ** 30 } as const;
const gpu = { name: 'GPU:0', kind: 'gpu', index: 0, memory: 138.5 * 2 ** 30 } as const;
// Text of a driver of release 580.
const VERSION =
  'NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build  (dvs-builder@U22)  Tue\n' +
  'GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)\n';
const CPUINFO =
  'processor\t: 0\nmodel name\t: Intel(R) Xeon(R)\nflags\t\t: fpu sse avx avx2 avx512f amx_bf16\n';

/** A healthy machine without a GPU, with the given changes. */
function machine(given: Partial<Machine> & { files?: Record<string, string> } = {}): Machine {
  const files: Record<string, string> = { '/proc/cpuinfo': CPUINFO, ...given.files };
  const folder = '/cache/tensorflow';
  return {
    library: () => ({ folder, framework: '', main: '', version: '2.21.0', source: 'cache' }),
    devices: async () => [cpu],
    step: async ({ name }) => ({ milliseconds: 3.14, description: `TensorFlow 2.21.0 on ${name}` }),
    read: (path) => files[path],
    exists: () => false,
    list: () => [],
    output: () => undefined,
    env: {},
    cores: 8,
    ...given,
  };
}

const nvidia = { '/proc/driver/nvidia/version': VERSION };
const packages = [...new Set(Object.values(cudaLibraries))];
const inSite = {
  library: () => ({
    folder: `${SITE}/tensorflow`,
    framework: '',
    main: '',
    version: '2.21.0',
    source: 'python' as const,
  }),
  list: (path: string) => (path === `${SITE}/nvidia` ? packages : []),
};
const whole = (path: string) =>
  Object.entries(cudaLibraries).some(([name, at]) => path === `${SITE}/nvidia/${at}/lib/${name}`);

async function linesOf(of: Machine) {
  return (await examine(of)).map(lineOf);
}

test('a machine without a GPU', async () => {
  expect(await linesOf(machine())).toEqual([
    '  library   TensorFlow 2.21.0 for CPUs, /cache/tensorflow (cache)',
    '  cpu       Intel(R) Xeon(R), 8 threads: avx2, avx512f, amx_bf16',
    '  threads   8 by default; the first engine of a process sets the number',
    '  driver    no NVIDIA driver: CPUs only',
    '  device    CPU:0, 16.0 GiB',
    '  step      TensorFlow 2.21.0 on CPU:0: float32 3.1 ms',
  ]);
});

test('a machine with a GPU and all that it takes', async () => {
  const of = machine({ ...inSite, files: nvidia, exists: whole, devices: async () => [cpu, gpu] });
  const findings = await examine(of);
  expect(findings.every(({ state }) => state === 'ok')).toBe(true);
  expect(findings.map(lineOf).slice(3)).toEqual([
    '  driver    NVIDIA driver 580.95.05',
    '  cuda      all 11 CUDA libraries found',
    '  device    CPU:0, 16.0 GiB',
    '  device    GPU:0, 138.5 GiB',
    '  step      TensorFlow 2.21.0 on CPU:0: float32 3.1 ms',
    '  step      TensorFlow 2.21.0 on GPU:0: float32 3.1 ms',
  ]);
});

test('nvidia-smi reports the driver if /proc does not, and an old driver gives a note', async () => {
  const output = (command: string) => (command === 'nvidia-smi' ? '470.42.01\n470.42.01\n' : undefined);
  const lines = await linesOf(machine({ output }));
  expect(lines).toContain(
    '! driver    NVIDIA driver 470.42.01 → CUDA 12 needs 525.60.13 or newer: install one',
  );
});

test('a driver without CUDA: what to install, and the engine runs on the CPU', async () => {
  const findings = await examine(machine({ files: nvidia }));
  const lines = findings.map(lineOf);
  expect(lines).toContainEqual(
    expect.stringMatching(/^! cuda .* no CUDA libraries → run .*engine:install --gpu/),
  );
  expect(lines).toContainEqual(
    expect.stringMatching(/^! devices .*sees no GPU → run .*engine:install --gpu/),
  );
  expect(findings.every(({ state }) => state !== 'problem')).toBe(true);
});

test('CUDA libraries may come from the loader and LD_LIBRARY_PATH; missing ones are named', async () => {
  const names = Object.keys(cudaLibraries).filter((name) => name !== 'libcudnn.so.9');
  const output = (command: string) =>
    command === 'ldconfig'
      ? names
          .slice(1)
          .map((name) => `\t${name} (libc6,x86-64) => /usr/lib/${name}\n`)
          .join('')
      : undefined;
  const of = machine({
    files: nvidia,
    output,
    env: { LD_LIBRARY_PATH: '/one::/two' },
    exists: (path) => path === `/two/${names[0]}`,
  });
  expect(await linesOf(of)).toContainEqual(expect.stringMatching(/^! cuda +missing: libcudnn\.so\.9 → run/));
});

test('other influences are reported: visible GPUs, thread variables, a CPU without AVX2', async () => {
  const of = machine({
    files: { ...nvidia, '/proc/cpuinfo': CPUINFO.replace(/avx2.*/, '') },
    env: { CUDA_VISIBLE_DEVICES: '1', OMP_NUM_THREADS: '4' },
  });
  const lines = await linesOf(of);
  expect(lines[1]).toMatch(/^! cpu .*8 threads: none of avx2, .* → expect slow steps/);
  expect(lines[2]).toBe(
    "! threads   OMP_NUM_THREADS=4 set TensorFlow's threads → unset them so that the option `threads` takes effect",
  );
  expect(lines).toContainEqual('! driver    CUDA_VISIBLE_DEVICES=1 decides which GPUs are seen');
});

test.each([
  [
    'no library',
    {
      library: () => {
        throw new EngineError('library-missing', 'TensorFlow is not here', { remedy: 'install it' });
      },
    },
    '✗ library   TensorFlow is not here → install it',
  ],
  [
    'devices that cannot be listed',
    { devices: () => Promise.reject(new EngineError('device', 'no list', { remedy: 'look' })) },
    '✗ devices   no list → look',
  ],
  [
    'a step that dies',
    { step: () => Promise.reject(new Error('the step ended by SIGSEGV\n    at somewhere')) },
    '✗ step      the step ended by SIGSEGV → run `nx run engine:install` again, or report this line',
  ],
])('%s is one line with its remedy', async (_, given, line) => {
  const lines = await linesOf(machine(given));
  expect(lines.at(-1) === line || lines[0] === line).toBe(true);
});

describe('the program', () => {
  const program = fileURLToPath(new URL('../../dist/doctor-main.js', import.meta.url));
  const run = (args: string[], env: NodeJS.ProcessEnv = {}) =>
    spawnSync(process.execPath, [program, ...args], { encoding: 'utf8', env: { ...process.env, ...env } });

  test('runs a step on this machine', () => {
    const { status, stdout } = run(['--json']);
    const told = JSON.parse(stdout) as { runs: boolean; findings: { what: string; text: string }[] };
    expect([status, told.runs]).toEqual([0, true]);
    expect(told.findings.at(-1)).toMatchObject({
      what: 'step',
      text: expect.stringMatching(/float32 \d+\.\d ms$/),
    });
  });

  test('ends with 1 and no stack trace without a library, with 2 for an option that it does not know', () => {
    const { status, stdout, stderr } = run([], { CT_ENSEMBLE_TENSORFLOW: '/nowhere' });
    expect([status, stderr]).toEqual([1, '']);
    expect(stdout).toMatch(/^✗ library +CT_ENSEMBLE_TENSORFLOW is \/nowhere.*→.*\n/);
    expect(stdout).not.toMatch(/^ +at /m);
    expect(run(['--verbose'])).toMatchObject({ status: 2 });
  });
});
