// The command logs: the output of members, of the preparation and of the evaluation, wherever they ran.
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { StringDecoder } from 'node:string_decoder';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, openRegularFile, print, printableLines, UserError } from '@ct-ensemble/core';
import {
  type JobRecord,
  logFile,
  readJobRecords,
  readPlan,
  rotatedLogFile,
  slurmLogsFolder,
} from '@ct-ensemble/ensemble';
import { Command, Option } from 'commander';
import { count } from '../options.ts';

interface LogsOptions {
  run: string;
  job?: 'preparation' | 'evaluation';
  attempt?: number;
  lines: number;
  follow?: boolean;
}

export function logsCommand(): Command {
  return new Command('logs')
    .description(
      'Shows the output of members: of a run on this machine their log.txt, of a run on a cluster the output of their jobs.',
    )
    .requiredOption('--run <dir>', 'folder of the run')
    .argument('[member]', 'name of the member (default: the end of the output of every member)')
    .addOption(
      new Option(
        '--job <name>',
        'the output of the job of a cluster that prepares or evaluates the run',
      ).choices(['preparation', 'evaluation']),
    )
    .option(
      '--attempt <number>',
      'start of the member on a cluster, counted from 1 (default: the last one)',
      count,
    )
    .option('--lines <number>', 'lines from the end of the output', count, 100)
    .option('--follow', 'go on with what is written later, until Ctrl-C')
    .action(async (member: string | undefined, options: LogsOptions) => {
      await logs(member, options);
    });
}

/** Files of one job or member, oldest first. */
interface Output {
  title: string;
  files: string[];
}

async function logs(member: string | undefined, options: LogsOptions) {
  const { job, lines, attempt } = options;
  if (job !== undefined && member !== undefined)
    throw new UserError(`--job ${job} is not the output of a member`, {
      remedy: `leave out ${member} or --job`,
    });
  if (attempt !== undefined && member === undefined)
    throw new UserError('--attempt counts the starts of one member', { remedy: 'name the member' });
  const isOne = member !== undefined || job !== undefined;
  return show(() => outputsOf(member, options), { ...options, lines: isOne ? lines : Math.min(lines, 10) });
}

async function outputsOf(member: string | undefined, { run, job, attempt }: LogsOptions): Promise<Output[]> {
  const records = await readJobRecords(run);
  if (job !== undefined) return [await outputOfJob(run, { job, records })];
  const names = await memberNames(run, records);
  if (member !== undefined && !names.includes(member))
    throw new UserError(`the run has no member "${member}"`, {
      file: run,
      remedy: `name one of ${names.join(', ')}`,
    });
  const outputs: Output[] = [];
  for (const name of member === undefined ? names : [member]) {
    const attempts = await attemptsOf(run, name, records);
    if (attempt !== undefined && attempts[attempt - 1] === undefined)
      throw new UserError(
        `${name} has ${attempts.length} starts on a cluster, and none with number ${attempt}`,
        {
          file: run,
          remedy:
            attempts.length === 0 ? 'leave --attempt out' : `give a number from 1 to ${attempts.length}`,
        },
      );
    const chosen = attempts[(attempt ?? attempts.length) - 1];
    const files =
      chosen === undefined
        ? await existing([rotatedLogFile(run, name), logFile(run, name)])
        : await existing([chosen, await slurmOutput(run, chosen, records)]);
    const which = attempts.length > 1 ? `, start ${attempt ?? attempts.length} of ${attempts.length}` : '';
    outputs.push({ title: `${name}${which}`, files });
  }
  return outputs;
}

async function memberNames(run: string, records: readonly JobRecord[]): Promise<string[]> {
  const planned = records.findLast((record) => record.planned !== undefined)?.planned;
  const { members } = planned === undefined ? await readPlan(run) : planned;
  return members.map(({ name }) => name);
}

const existing = async (files: readonly (string | undefined)[]) => {
  const found: string[] = [];
  for (const file of files) if (file !== undefined && (await sizeOf(file)) !== undefined) found.push(file);
  return found;
};

const sizeOf = (file: string) =>
  stat(file).then(
    ({ size }) => size,
    () => undefined,
  );

/** Output files of the starts of a member on a cluster, oldest first. */
async function attemptsOf(run: string, member: string, records: readonly JobRecord[]): Promise<string[]> {
  const found: { file: string; order: number[] }[] = [];
  for (const name of await namesIn(slurmLogsFolder(run))) {
    const match = name.startsWith(`${member}-`)
      ? /^-(\d+)_(\d+)-(\d+)\.log$/.exec(name.slice(member.length))
      : null;
    if (match === null) continue;
    // Job ids grow, but start again after a controller has lost its state; numbers of records do not.
    const number = records.find(({ jobId }) => jobId === match[1])?.number ?? 0;
    found.push({
      file: join(slurmLogsFolder(run), name),
      order: [number, Number(match[1]), Number(match[3])],
    });
  }
  const byOrder = (a: number[], b: number[]) =>
    a.map((each, i) => each - b[i]!).find((difference) => difference !== 0) ?? 0;
  return found.sort((a, b) => byOrder(a.order, b.order)).map(({ file }) => file);
}

const namesIn = (folder: string) =>
  readdir(folder).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  });

/** What Slurm itself and the shell wrote about the task, if they wrote anything. */
async function slurmOutput(
  run: string,
  attempt: string,
  records: readonly JobRecord[],
): Promise<string | undefined> {
  const [, jobId, index] = /-(\d+)_(\d+)-\d+\.log$/.exec(basename(attempt))!;
  const record = records.find((each) => each.jobId === jobId);
  if (record === undefined) return undefined;
  const file = join(slurmLogsFolder(run), `${record.jobName}-${jobId}_${index}.out`);
  return (await sizeOf(file)) ? file : undefined;
}

async function outputOfJob(
  run: string,
  { job, records }: { job: 'preparation' | 'evaluation'; records: readonly JobRecord[] },
): Promise<Output> {
  const kind = job === 'preparation' ? 'prepare' : 'evaluate';
  const own = records.filter((record) => record.kind === kind && record.jobId !== null);
  if (own.length === 0)
    throw new UserError(`no job for the ${job} of this run was ever submitted`, {
      file: run,
      remedy: 'leave --job out to see the output of members',
    });
  const files = await existing(
    own.map(({ jobName, jobId }) => join(slurmLogsFolder(run), `${jobName}-${jobId}.out`)),
  );
  return { title: `${job}, job ${own.at(-1)!.jobId}`, files: files.slice(-1) };
}

async function show(
  find: () => Promise<Output[]>,
  { lines, follow = false }: Pick<LogsOptions, 'lines' | 'follow'>,
) {
  const read = new Map<string, { end: number; decoder: StringDecoder }>();
  const outputs = await find();
  for (const { title, files } of outputs) {
    if (outputs.length > 1) print(`==> ${title}`);
    let rest = lines;
    const ends: string[] = [];
    for (const file of [...files].reverse()) {
      const { text, end } = await tail(file, rest);
      read.set(file, { end, decoder: new StringDecoder('utf8') });
      rest -= text.length;
      ends.unshift(...text);
    }
    if (ends.length > 0) print(ends.join('\n'));
    else print(outputs.length > 1 ? '(no output yet)' : `${title}: no output yet`);
  }
  if (!follow) return;
  const stopped = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopped.abort());
  let shown = outputs.length > 1 ? undefined : outputs[0]?.title;
  for (;;) {
    await sleep(1000, undefined, { signal: stopped.signal }).catch(() => {});
    if (stopped.signal.aborted) return;
    // A further start of a member has a file of its own.
    for (const { title, files } of await find())
      for (const file of files) {
        const at = read.get(file) ?? { end: 0, decoder: new StringDecoder('utf8') };
        const bytes = await readFrom(file, at.end);
        read.set(file, { ...at, end: at.end + bytes.length });
        const text = at.decoder.write(bytes);
        if (text === '') continue;
        if (shown !== title) print(`==> ${title}`);
        shown = title;
        process.stdout.write(printableLines(text));
      }
  }
}

/** A file's end of this size is looked at. */
const TAIL_BYTES = 4 * 2 ** 20;

async function tail(file: string, lines: number): Promise<{ text: string[]; end: number }> {
  const size = (await sizeOf(file)) ?? 0;
  const from = Math.max(0, size - TAIL_BYTES);
  const content = await readFrom(file, from);
  const all = content.toString('utf8').split('\n');
  if (from > 0) all.shift();
  if (all.at(-1) === '') all.pop();
  return { text: lines <= 0 ? [] : all.slice(-lines), end: from + content.length };
}

async function readFrom(file: string, from: number): Promise<Buffer> {
  const { handle, stats } = await openRegularFile(file);
  try {
    const length = Math.max(0, Math.min(stats.size - from, TAIL_BYTES));
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, from);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}
