// What the sides of bench:predict get, and what they answer.

/** Argument of a side's program, as JSON. */
export interface PredictSettings {
  /** `onnx`: ONNX Runtime; only this one reads `onnx`, the others read the members' weights. */
  side: 'own' | 'pytorch' | 'pytorch-compiled' | 'onnx';
  architecture: string;
  /** Safetensors file of each member. */
  weights: string[];
  /** The ensemble as one ONNX file. */
  onnx: string;
  /** Files of the scan's slices, in order. */
  slices: string[];
  /** Slices of the volume, and the edge of each in pixels. */
  depth: number;
  size: number;
  classes: number;
  threads: number;
}

/** One answer for the scan: its first when the program starts, then one for each line `{}` on standard input. */
export interface PredictAnswer {
  library: string;
  /** Seconds of wall time: files to volume, and volume to probabilities. */
  prepare: number;
  forward: number;
  /** CPU seconds, user and system, of all threads. */
  prepareCpu: number;
  forwardCpu: number;
  /** CPU seconds of the process since its start. */
  cpu: number;
  /** The ensemble's, [classes]. */
  probabilities: number[];
  /** Mean grey value of the volume. */
  mean: number;
}
