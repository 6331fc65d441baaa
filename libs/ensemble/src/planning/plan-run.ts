// The plan of a run from a recipe and a folder of scans, without preparing volumes or writing into the run's folder.
import type { EngineKind } from '@ct-ensemble/engine';
import { type DatasetChoice, openDataset } from '../run/dataset.ts';
import { openDevices } from '../run/run.ts';
import type { Isolation } from '../run-status.ts';
import type { Recipe } from '../recipes/schema.ts';
import { describePlan, type PlanDescription } from './describe.ts';
import { probe, type ProbeOptions } from './probe.ts';

export interface PlanRunOptions extends DatasetChoice, ProbeOptions {
  /** Folder of the data set, whose index is read. */
  data: string;
  recipe: Recipe;
  /** Folder of the run; it need not exist. What it has trained already is taken into account. */
  run: string;
  /** As in `--devices`. */
  devices: string;
  engine: EngineKind;
  isolation?: Isolation;
  /** What two splits share is a finding and no error. Default: false. */
  allowLeaks?: boolean;
}

/**
 * Measures each architecture on each kind of device, unless the cache has it, and plans the run.
 * @throws UserError for a data set or a list of devices that cannot be used.
 */
export async function planRun(options: PlanRunOptions): Promise<PlanDescription> {
  const devices = await openDevices(options);
  const index = await openDataset(options);
  return describePlan({
    recipe: options.recipe,
    index,
    devices,
    engine: options.engine,
    run: options.run,
    probeOf: measureInTurn(options),
  });
}

/** Measures one thing at a time: measurements at the same time would disturb each other. */
function measureInTurn(options: ProbeOptions) {
  let last: Promise<unknown> = Promise.resolve();
  return (settings: Parameters<typeof probe>[0]) => {
    const next = last.then(() => probe(settings, options));
    last = next.catch(() => undefined);
    return next;
  };
}
