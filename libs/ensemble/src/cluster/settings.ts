// What a run on Slurm asks of the cluster: the site file with a cluster's defaults, the options of the command line, and what
// is assumed where neither says anything.
import { homedir } from 'node:os';
import { join } from 'node:path';
import { codeOf, MAX_BYTES, messageOf, readRegularText, UserError } from '@ct-ensemble/core';
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { didYouMean } from '../names.ts';

/** What a job asks for, as sbatch's options of these names. */
export interface JobRequest {
  partition?: string | undefined;
  account?: string | undefined;
  qos?: string | undefined;
  constraint?: string | undefined;
  /** Without it the limit is that of the partition. */
  time?: string | undefined;
  mem: string;
  cpus: number;
  /** Such as `gpu:1`; undefined: none. */
  gres?: string | undefined;
  /** Further arguments of sbatch. */
  sbatch: string[];
}

const FIRST_UNIT = { K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 } as const;

/** Bytes of sbatch's `--mem`, which counts in MiB without a unit. @throws {UserError} for another text. */
export function memoryBytes(text: string): number {
  const match = /^(\d+)([KMGT]?)B?$/i.exec(text);
  const bytes =
    Number(match?.[1]) * FIRST_UNIT[(match?.[2]?.toUpperCase() || 'M') as keyof typeof FIRST_UNIT];
  if (bytes > 0) return bytes;
  throw new UserError(`"${text}" is no amount of memory`, {
    remedy: 'write a number with K, M, G or T, such as 32G',
  });
}

/**
 * Seconds of sbatch's `--time`: `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours`, `days-hours:minutes` or
 * `days-hours:minutes:seconds`. @throws {UserError} for another text.
 */
export function timeSeconds(text: string): number {
  const match = /^(?:(\d+)-(?=\d))?(\d+)(?::(\d+))?(?::(\d+))?$/.exec(text);
  const [days, first, second, third] =
    match?.slice(1).map((part) => (part === undefined ? undefined : Number(part))) ?? [];
  const seconds =
    days !== undefined
      ? days * 86400 + first! * 3600 + (second ?? 0) * 60 + (third ?? 0)
      : third !== undefined
        ? first! * 3600 + second! * 60 + third
        : (first ?? NaN) * 60 + (second ?? 0);
  if (seconds > 0) return seconds;
  throw new UserError(`"${text}" is no time`, {
    remedy: 'write minutes, hours:minutes:seconds or days-hours:minutes:seconds, such as 12:00:00',
  });
}

/** The text of `--time` for at least so many seconds, in whole minutes, as Slurm counts. */
export function timeText(seconds: number): string {
  const minutes = Math.max(1, Math.ceil(seconds / 60));
  const two = (number: number) => String(number).padStart(2, '0');
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60)];
  return `${days > 0 ? `${days}-` : ''}${two(hours)}:${two(minutes % 60)}:00`;
}

/** A text that a function accepts; what it refuses is a problem of the field. */
const checked = (check: (text: string) => unknown) =>
  z.union([z.string(), z.int()]).transform((value, context) => {
    try {
      check(String(value));
    } catch (error) {
      const { problem, remedy } = error as UserError;
      context.addIssue({ code: 'custom', message: `${problem} → ${remedy}` });
    }
    return String(value);
  });

const word = z.string().regex(/^[^\s\p{Cc}]+$/u, 'must be one word');

/** Options that the program itself gives sbatch, and why the user cannot. */
const RESERVED = [
  'array',
  'chdir',
  'dependency',
  'error',
  'job-name',
  'kill-on-invalid-dep',
  'no-requeue',
  'nodes',
  'ntasks',
  'open-mode',
  'output',
  'parsable',
  'requeue',
  'signal',
  'test-only',
  'wait',
  'wrap',
];
const RESERVED_LETTERS: Record<string, string> = {
  a: 'array',
  D: 'chdir',
  d: 'dependency',
  e: 'error',
  J: 'job-name',
  N: 'nodes',
  n: 'ntasks',
  o: 'output',
  W: 'wait',
};

/** @throws {UserError} for what is no argument of sbatch in one word, and for options that the program sets itself. */
export function checkArgument(text: string): string {
  const match = /^(?:--([a-z][a-z0-9-]*)(?:=.*)?|-([A-Za-z])\S*)$/.exec(text);
  if (match === null)
    throw new UserError(`"${text}" is no argument of sbatch`, {
      remedy: 'write an option with its value in one word, such as --gres=gpu:a100:1 or --exclusive',
    });
  const name = match[1] ?? RESERVED_LETTERS[match[2]!];
  if (name !== undefined && RESERVED.includes(name))
    throw new UserError(`the argument "${text}" would change what the program itself sets (--${name})`, {
      remedy: 'leave it out',
    });
  return text;
}

const argument = z.string().superRefine((text, context) => {
  try {
    checkArgument(text);
  } catch (error) {
    const { problem, remedy } = error as UserError;
    context.addIssue({ code: 'custom', message: `${problem} → ${remedy}` });
  }
});

const requestFields = {
  partition: word.optional(),
  account: word.optional(),
  qos: word.optional(),
  constraint: word.optional(),
  time: checked(timeSeconds).optional(),
  mem: checked(memoryBytes).optional(),
  cpus: z.int().positive().optional(),
  sbatch: z.array(argument).optional(),
};

const siteSchema = z.strictObject({
  ...requestFields,
  parallel: z.int().positive().optional(),
  /** `none`: no generic resource is asked for. */
  gres: word.optional(),
  setup: z.array(z.string().regex(/^\P{Cc}*$/u, 'must be one line')).optional(),
  node: z.string().min(1).optional(),
  signalSeconds: z.int().min(60).max(65535).optional(),
  preparation: z.strictObject(requestFields).optional(),
  evaluation: z.strictObject(requestFields).optional(),
});

/** The content of a site file; every field may be missing. */
export type SiteSettings = z.infer<typeof siteSchema>;

export const SITE_FILE = 'ct-ensemble.site.yaml';

/**
 * Reads the site file: the given one, else `ct-ensemble.site.yaml` in the current folder, else `site.yaml` in
 * `$XDG_CONFIG_HOME/ct-ensemble` or `~/.config/ct-ensemble`. No file: no defaults.
 * @throws {UserError} if the given file is missing, or a file has another content; it names the fields.
 */
export async function readSite(
  given?: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Promise<{ site: SiteSettings; file: string | null }> {
  const config = environment['XDG_CONFIG_HOME'] || join(homedir(), '.config');
  const files = given === undefined ? [SITE_FILE, join(config, 'ct-ensemble', 'site.yaml')] : [given];
  for (const file of files) {
    let text: string;
    try {
      text = await readRegularText(file, { maxBytes: MAX_BYTES.recipe });
    } catch (error) {
      if (codeOf(error) === 'ENOENT' && given === undefined) continue;
      if (error instanceof UserError) throw error;
      const problem =
        codeOf(error) === 'ENOENT' ? 'there is no such site file' : `cannot be read (${messageOf(error)})`;
      throw new UserError(problem, {
        file,
        remedy: 'name the file with the defaults of the cluster with --site',
        cause: error,
      });
    }
    return { site: parseSite(text, file), file };
  }
  return { site: {}, file: null };
}

/** @throws {UserError} that lists every field whose value cannot be used. */
export function parseSite(text: string, file: string): SiteSettings {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const remedy = 'write it as docs/cluster.md describes the site file';
  const [fault] = document.errors;
  if (fault !== undefined)
    throw new UserError(`line ${lines.linePos(fault.pos[0]).line}: ${fault.message}`, { file, remedy });
  const parsed = siteSchema.safeParse(document.toJS() ?? {});
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.flatMap((issue) => {
    const path = issue.path.join('.');
    if (issue.code !== 'unrecognized_keys')
      return [`${path === '' ? '' : `field ${path}: `}${issue.message}`];
    const known = path === '' ? Object.keys(siteSchema.shape) : Object.keys(requestFields);
    return issue.keys.map(
      (key) =>
        `field ${path === '' ? '' : `${path}.`}${key}: there is no such field${didYouMean(key, known)}`,
    );
  });
  throw new UserError(problems.join('; '), { file, remedy });
}

/** What the command line says; every value takes the place of the site file's. */
export interface ClusterOptions {
  partition?: string | undefined;
  time?: string | undefined;
  mem?: string | undefined;
  cpus?: number | undefined;
  account?: string | undefined;
  qos?: string | undefined;
  constraint?: string | undefined;
  parallel?: number | undefined;
  sbatch?: string[] | undefined;
}

export interface ClusterSettings {
  members: JobRequest;
  preparation: JobRequest;
  evaluation: JobRequest;
  parallel: number | undefined;
  setup: string[];
  /** The program node on the cluster. */
  node: string;
  signalSeconds: number;
  /** Notes on values that were assumed, a line each. */
  notes: string[];
}

/** What is known of a member, from a measurement or from the epochs of the run. */
export interface ExpectedNeed {
  seconds?: number | undefined;
  memoryBytes?: number | undefined;
}

/** Share that is added to an expected time, and the seconds for the start of a job and of the engine. */
const TIME_MARGIN = 1.5;
const START_SECONDS = 600;
/** A member on CPUs: its measured memory, half of it again and this. */
const MEMORY_MARGIN = 2 ** 30;

const DEFAULT_MEMORY = { gpu: '32G', cpu: '16G', preparation: '8G', evaluation: '8G' };

/**
 * Joins command line, site file and what is known of the members.
 *
 * `--time` of the members is the first of: the command line's; the expected time with a margin, or the site's, whichever is
 * shorter (a member that reaches its limit writes a checkpoint and continues); the partition's own default.
 */
export function clusterSettings({
  site,
  options,
  device,
  expected,
}: {
  site: SiteSettings;
  options: ClusterOptions;
  /** As in `--devices`: one device, `gpu:0` or `cpu:N`. */
  device: string;
  /** Needs of the members that are to be submitted; the largest counts. */
  expected: readonly ExpectedNeed[];
}): ClusterSettings {
  const isGpu = device.startsWith('gpu');
  const notes: string[] = [];
  const shared = {
    partition: options.partition ?? site.partition,
    account: options.account ?? site.account,
    qos: options.qos ?? site.qos,
  };
  const side = (kind: 'preparation' | 'evaluation', cpus: number): JobRequest => ({
    ...shared,
    ...site[kind],
    cpus: site[kind]?.cpus ?? cpus,
    mem: site[kind]?.mem ?? DEFAULT_MEMORY[kind],
    sbatch: site[kind]?.sbatch ?? [],
  });
  const gres = !isGpu || site.gres === 'none' ? undefined : (site.gres ?? 'gpu:1');
  const threads = isGpu ? undefined : Number(device.slice('cpu:'.length));
  return {
    members: {
      ...shared,
      constraint: options.constraint ?? site.constraint,
      time: options.time ?? timeOf(expected, site.time),
      mem: options.mem ?? site.mem ?? memoryFor(expected, { isGpu, notes }),
      cpus: options.cpus ?? site.cpus ?? threads ?? 4,
      gres,
      sbatch: [...(site.sbatch ?? []), ...(options.sbatch ?? [])],
    },
    preparation: side('preparation', 4),
    evaluation: side('evaluation', 2),
    parallel: options.parallel ?? site.parallel,
    setup: site.setup ?? [],
    node: site.node ?? process.execPath,
    signalSeconds: site.signalSeconds ?? 120,
    notes,
  };
}

function timeOf(expected: readonly ExpectedNeed[], ofSite: string | undefined): string | undefined {
  const seconds = expected.map(({ seconds }) => seconds);
  if (seconds.length === 0 || seconds.some((each) => each === undefined)) return ofSite;
  const needed = TIME_MARGIN * Math.max(...(seconds as number[])) + START_SECONDS;
  return ofSite !== undefined && timeSeconds(ofSite) <= needed ? ofSite : timeText(needed);
}

function memoryFor(
  expected: readonly ExpectedNeed[],
  { isGpu, notes }: { isGpu: boolean; notes: string[] },
): string {
  const measured = isGpu ? [] : expected.flatMap(({ memoryBytes }) => memoryBytes ?? []);
  if (measured.length > 0) return `${Math.ceil((1.5 * Math.max(...measured) + MEMORY_MARGIN) / 2 ** 20)}M`;
  const mem = isGpu ? DEFAULT_MEMORY.gpu : DEFAULT_MEMORY.cpu;
  notes.push(
    `each member asks for ${mem} of memory, which is assumed: --mem or the site file's mem says otherwise`,
  );
  return mem;
}
