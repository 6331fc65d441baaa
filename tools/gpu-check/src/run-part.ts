// Runs one part: a child process in its own process group, with its output in a log file. When its time is up, it is killed
// together with all its children.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { finished } from 'node:stream/promises';
import { stripVTControlCharacters } from 'node:util';
import { codeOf, messageOf } from '@ct-ensemble/core';
import { commandLine, type Part } from './plan.ts';
import type { Outcome } from './report.ts';

/** The folders that a part works in. */
export interface Place {
  /** The project's root, where commands run. */
  root: string;
  /** The folder of the logs. */
  work: string;
}

const TAIL_LINES = 30;

/** Runs a part and returns its outcome. A part that fails, or does not start, does not make this function throw. */
export async function runPart(part: Part, { root, work }: Place): Promise<Outcome> {
  const outcome = {
    name: part.name,
    claim: part.claim,
    command: withoutLocalPaths(commandLine(part), root),
    seconds: 0,
  };
  if (part.skipped !== undefined) return { ...outcome, verdict: 'skipped', reason: part.skipped };
  const log = join(work, `${part.name}.log`);
  await mkdir(work, { recursive: true });
  if (part.fresh !== undefined) await rm(resolve(root, part.fresh), { recursive: true, force: true });
  const started = performance.now();
  const reason = await run(part, { root, log });
  const seconds = (performance.now() - started) / 1000;
  const result = await resultOf(part, root);
  const rest = { seconds, log: relative(root, log), ...(result === undefined ? {} : { result }) };
  if (reason === undefined) return { ...outcome, verdict: 'passed', ...rest };
  const text = stripVTControlCharacters(await readFile(log, 'utf8').catch(() => ''));
  const tail = withoutLocalPaths(text.trimEnd().split('\n').slice(-TAIL_LINES).join('\n'), root);
  return { ...outcome, verdict: 'failed', reason, ...rest, tail };
}

/** Runs the command; returns undefined if it passed, otherwise the reason why it failed. */
async function run({ command, env, limitSeconds }: Part, { root, log }: { root: string; log: string }) {
  const out = createWriteStream(log);
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    cwd: root,
    env: { ...process.env, NX_DAEMON: 'false', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a process group of its own, so that its children can be killed with it
  });
  child.stdout.pipe(out, { end: false });
  child.stderr.pipe(out, { end: false });
  let late = false;
  const end = () => child.pid !== undefined && killGroup(child.pid);
  const timer = setTimeout(() => {
    late = true;
    end();
  }, limitSeconds * 1000);
  process.once('exit', end);
  try {
    const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
    if (late) return `did not end within ${limitSeconds} s`;
    return code === 0 ? undefined : signal === null ? `exit code ${code}` : `ended by ${signal}`;
  } catch (error) {
    return `${program} does not start: ${messageOf(error)}`;
  } finally {
    clearTimeout(timer);
    process.off('exit', end);
    out.end();
    await finished(out).catch(() => undefined);
  }
}

function killGroup(pid: number) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error;
  }
}

/** The text without the paths of the project and of the home folder. */
function withoutLocalPaths(text: string, root: string) {
  return text.replaceAll(`${root}/`, '').replaceAll(process.env['HOME'] ?? root, '~');
}

async function resultOf({ result }: Part, root: string): Promise<unknown> {
  if (result === undefined) return undefined;
  const text = await readFile(resolve(root, result), 'utf8').catch(() => undefined);
  if (text === undefined || !result.endsWith('.json')) return text;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
