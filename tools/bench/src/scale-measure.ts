// Loaded before a program (node --import): writes its CPU seconds, peak memory and number of file operations into the file that
// CT_ENSEMBLE_MEASURE names when it ends. Operations of worker threads are not counted.
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { isMainThread } from 'node:worker_threads';

/** What a process has used. */
export interface Measured {
  cpuSeconds: number;
  wallSeconds: number;
  peakBytes: number;
  fileOperations: number;
}

type AnyFunction = (...parameters: never[]) => unknown;

let fileOperations = 0;

/** Replaces functions of an object by functions that count their calls. */
function count(of: object, names: readonly string[]) {
  const functions = of as Record<string, AnyFunction>;
  for (const name of names) {
    const original = functions[name];
    if (typeof original !== 'function') continue;
    functions[name] = function (this: unknown, ...parameters: never[]) {
      fileOperations++;
      return original.apply(this as never, parameters);
    };
  }
}

const file = process.env['CT_ENSEMBLE_MEASURE'];
if (file !== undefined && isMainThread) {
  const { promises } = fs;
  const handle = await promises.open(process.execPath, 'r');
  count(Object.getPrototypeOf(handle) as object, [
    'read',
    'write',
    'writeFile',
    'readFile',
    'stat',
    'sync',
    'close',
  ]);
  await handle.close();
  const all = [
    'open',
    'stat',
    'lstat',
    'readdir',
    'readFile',
    'writeFile',
    'rename',
    'rm',
    'mkdir',
    'realpath',
    'access',
  ];
  count(promises, all);
  count(fs, [...all.map((name) => `${name}Sync`), 'existsSync']);
  syncBuiltinESMExports();
  fileOperations = 0;
  const write = fs.writeFileSync;
  process.on('exit', () => {
    const { user, system } = process.cpuUsage();
    const measured: Measured = {
      cpuSeconds: (user + system) / 1e6,
      wallSeconds: performance.now() / 1000,
      peakBytes: process.resourceUsage().maxRSS * 1024,
      fileOperations,
    };
    write(file, JSON.stringify(measured));
  });
}
