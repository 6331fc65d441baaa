// What a schedule of the learning rate is.
import type { Definition } from '../choice.ts';

/** Where a run is when it asks for a rate; everything counts from 0. */
export interface ScheduleTime {
  epoch: number;
  /** Optimizer steps done since the run began. */
  step: number;
  stepsPerEpoch: number;
  epochs: number;
}

export interface ScheduleDefinition<Options = unknown> extends Definition {
  /** The learning rate of the step that comes next. */
  rateAt(options: Options, time: ScheduleTime): number;
  /** What does not go with the number of epochs: the field, and what it must be. */
  problems?(options: Options, epochs: number): { field: string; message: string }[];
}
