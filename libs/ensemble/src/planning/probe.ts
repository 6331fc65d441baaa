// Probes: short measurements of members before they are trained, kept in the cache folder.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readJson, usableMemory, writeJson } from '@ct-ensemble/core';
import { cacheFolder } from '@ct-ensemble/engine';
import { z } from 'zod';
import { type ProbeResult, probeResult } from './measure.ts';
import { probeKey, type ProbeSettings } from './probe-settings.ts';

/** What is known of a member on a kind of device. */
export type Probe = { result: ProbeResult; error?: undefined } | { error: string; result?: undefined };

export interface ProbeOptions {
  /** Folder of the results. Default: probes in the cache folder. */
  cache?: string;
  signal?: AbortSignal;
  /** Called before a measurement. */
  onMeasure?: (settings: ProbeSettings) => void;
  /** What measures, for tests. Default: a process of its own. */
  measure?: (settings: ProbeSettings, signal?: AbortSignal) => Promise<Probe>;
}

const cacheFile = (settings: ProbeSettings, { cache = join(cacheFolder(), 'probes') }: ProbeOptions) =>
  join(cache, `${probeKey(settings)}.json`);

const stored = z.object({ result: probeResult });

/** The result in the cache; undefined if there is none, or it cannot be read. */
export async function knownProbe(
  settings: ProbeSettings,
  options: ProbeOptions = {},
): Promise<ProbeResult | undefined> {
  const text = await readJson(cacheFile(settings, options)).catch(() => undefined);
  return stored.safeParse(text).data?.result;
}

/** Share of the memory that members measured at once may take. */
const MEMORY_SHARE = 0.9;

/**
 * Measures a member unless the cache has the result. It is measured alone first; if several are to train at once and the memory
 * holds them, as many as that are then measured at once, because they share the memory's bandwidth and the cores.
 * Failures are returned and not kept.
 */
export async function probe(settings: ProbeSettings, options: ProbeOptions = {}): Promise<Probe> {
  const { signal, measure = measureInProcess } = options;
  const known = await knownProbe(settings, options);
  if (known) return { result: known };
  options.onMeasure?.(settings);
  const alone = await measure(settings, signal);
  if (alone.result === undefined) return alone;
  const { atOnce, device } = settings;
  const fits =
    device.kind === 'cpu' && atOnce * (alone.result.memoryBytes ?? 0) <= MEMORY_SHARE * usableMemory();
  const together =
    atOnce > 1 && fits
      ? await Promise.all(Array.from({ length: atOnce }, () => measure(settings, signal)))
      : [];
  const results = together.flatMap(({ result }) => result ?? []);
  const result = results.length === 0 ? alone.result : worstOf([...results]);
  const about = { architecture: settings.architecture, device, measuredAt: new Date().toISOString() };
  await writeJson(cacheFile(settings, options), { ...about, result });
  return { result };
}

/** The largest of each value. */
function worstOf(results: readonly ProbeResult[]): ProbeResult {
  const [first, ...others] = results as [ProbeResult, ...ProbeResult[]];
  return others.reduce((worst, result) => {
    const keys = Object.keys(worst) as (keyof ProbeResult)[];
    return Object.fromEntries(
      keys.map((key) => [
        key,
        worst[key] === null || result[key] === null ? null : Math.max(worst[key], result[key]),
      ]),
    ) as ProbeResult;
  }, first);
}

const answer = z.union([z.object({ result: probeResult }), z.object({ error: z.string() })]);

function measureInProcess(settings: ProbeSettings, signal?: AbortSignal): Promise<Probe> {
  // The built program, from src/ and dist/ alike.
  const program = fileURLToPath(new URL('../../dist/probe-main.js', import.meta.url));
  const args = [program, JSON.stringify(settings)];
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      args,
      { maxBuffer: 2 ** 26, ...(signal && { signal }) },
      (error, stdout, stderr) => {
        if (signal?.aborted) return reject(signal.reason as Error);
        const said = answer.safeParse(jsonOf(stdout.trim().split('\n').at(-1) ?? '')).data;
        if (said && 'result' in said) return resolve({ result: said.result });
        if (said) return resolve({ error: said.error });
        const killed = error?.signal === 'SIGKILL' ? ' (Linux does that when the memory is used up)' : '';
        const how = error?.signal
          ? `was killed by ${error.signal}${killed}`
          : `ended with code ${error?.code ?? 0}`;
        const last = stderr.trim().split('\n').at(-1);
        resolve({ error: `the measurement ${how}${last ? `: ${last}` : ''}` });
      },
    );
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
