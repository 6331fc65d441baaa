// Runs tfjs-core's own test suite on this engine. Every spec in the files of required.json that passes on tfjs's CPU
// backend must pass here. Specs named in exceptions.json (on a GPU also: exceptions-gpu.json) must fail, so that the
// lists contain no outdated entries.
//   node libs/engine/conformance/run.mjs [--report FILE]
import { fork } from 'node:child_process';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const CHILDREN = 2;
const CHILD_LIMIT = 300_000; // ms

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const readJson = (name) => JSON.parse(readFileSync(here(name), 'utf8'));

const { report } = parseArgs({ options: { report: { type: 'string' } } }).values;
const required = readJson('required.json');
/** Name of the spec → reason why it fails. */
const onGpu = (process.env['CT_ENSEMBLE_CONFORMANCE_DEVICE'] ?? '').startsWith('gpu:');
const exceptions = { ...readJson('exceptions.json'), ...(onGpu ? readJson('exceptions-gpu.json') : {}) };

/**
 * Runs test files in a child process. Returns the result of each spec, and a description of the crash if it crashed.
 */
function runFiles(backend, files) {
  return new Promise((resolve) => {
    const child = fork(here('suite.mjs'), [backend, ...files], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      timeout: CHILD_LIMIT,
      killSignal: 'SIGKILL',
    });
    const specs = [];
    let at = 'loading';
    let precision;
    let said = '';
    child.stderr.on('data', (text) => (said += text));
    child.on('message', ({ started, floatPrecision, ...spec }) => {
      if (started) at = started;
      else if (floatPrecision) precision = floatPrecision;
      else specs.push(spec);
    });
    child.on('close', (code, signal) => {
      const ended = code === 0 && precision === 32;
      const how = signal ?? (code === 0 ? `a precision of ${precision} bits, not 32` : `code ${code}`);
      const crash = ended
        ? undefined
        : `${files.join(' ')}: ended with ${how} at "${at}"\n${said.slice(-2000)}`;
      resolve({ specs, crash });
    });
  });
}

/**
 * Runs a group of files in one process; after a crash, each file in its own, so that only one file's specs are lost.
 */
async function runGroup(files) {
  const together = await runFiles('tensorflow', files);
  if (!together.crash) return [together];
  const results = [];
  for (const file of files) results.push(await runFiles('tensorflow', [file]));
  // A crash that occurs only when the files run together must be reported too.
  return results.some(({ crash }) => crash) ? results : [...results, { specs: [], crash: together.crash }];
}

const started = performance.now();
const jobs = Object.values(required.files).map((files) => () => runGroup(files));
let reference;
jobs.unshift(async () => {
  reference = await runFiles('cpu', Object.values(required.files).flat());
  return [];
});
const results = [];
async function work() {
  for (let job = jobs.shift(); job; job = jobs.shift()) results.push(...(await job()));
}
await Promise.all(Array.from({ length: CHILDREN }, work));

/** Name → number of passed specs, since names are not unique. */
const passes = new Map();
const failures = new Map();
for (const { name, status, failures: messages } of results.flatMap(({ specs }) => specs)) {
  if (status === 'passed') passes.set(name, (passes.get(name) ?? 0) + 1);
  else failures.set(name, messages);
}
const wanted = reference.specs.filter(({ status }) => status === 'passed').map(({ name }) => name);
const lost = wanted.filter((name) => {
  const left = passes.get(name) ?? 0;
  passes.set(name, left - 1);
  return left <= 0;
});
const unexpected = lost.filter((name) => !(name in exceptions));
const healed = Object.keys(exceptions).filter((name) => !lost.includes(name));
const crashes = [reference, ...results].flatMap(({ crash }) => crash ?? []);

const problems = [
  ...crashes.map((crash) => `CRASH ${crash}`),
  ...unexpected.map(
    (name) => `FAIL ${name}\n     ${failures.get(name)?.join('\n     ') ?? 'it did not run'}`,
  ),
  ...healed.map((name) => `EXCEPTION PASSES ${name} → remove it from exceptions.json`),
];
if (wanted.length !== required.specs)
  problems.push(`tfjs's CPU backend passes ${wanted.length} specs, required.json says ${required.specs}`);
const excepted = lost.filter((name) => name in exceptions);
const seconds = Math.round((performance.now() - started) / 1000);

for (const problem of problems) console.log(problem);
for (const name of excepted) console.log(`EXCEPTION ${name}: ${exceptions[name]}`);
console.log(
  `required ${wanted.length}, passed ${wanted.length - lost.length}, exceptions ${excepted.length}, ` +
    `unexpected failures ${unexpected.length}, crashes ${crashes.length}, ${seconds} s`,
);
if (report) {
  const summary = { required: wanted.length, passed: wanted.length - lost.length, seconds };
  const lists = { exceptions: excepted, unexpected, healed, crashes };
  writeFileSync(`${report}.part`, JSON.stringify({ ...summary, ...lists }, null, 2) + '\n');
  renameSync(`${report}.part`, report);
}
process.exitCode = problems.length > 0 ? 1 : 0;
