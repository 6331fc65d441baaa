// What one side of a comparison is told: how many members of which network do what, where and how.

export interface Settings {
  /** Ours, or PyTorch. */
  library: 'own' | 'pytorch';
  task: 'train' | 'evaluate';
  /** Networks that work at once: ours in as many worker threads of one process, PyTorch's in as many processes. */
  members: number;
  /** CPU threads of each member. */
  threads: number;
  batch: number;
  precision: 'float32' | 'mixed';
  /** Compile the step with XLA; ours only. */
  jit: boolean;
  /** Compute dense layers anew in the backward pass; ours only. */
  recompute: boolean;
  architecture: string;
  /** Slices of a volume: the network's input channels. */
  depth: number;
  /** How they fall into views in front of the network; [] is an image without a front. */
  views: readonly number[];
  /** Edge of a volume, pixels. */
  size: number;
  device: { kind: 'cpu' | 'gpu'; index: number };
  /** TensorFloat-32 in a GPU's float32 convolutions and matrix products. */
  tf32: boolean;
  /** Safetensors files that both libraries start from: a state dict; */
  weights: string;
  /** `volumes`: unsigned bytes, [at least batch, depth, height, width]. */
  volumes: string;
}

/** A side's first line on standard output. */
export interface Hello {
  /** Library, version and device, for a person. */
  library: string;
}

/** A side's answer to a line `{ steps }` on its standard input: what the last of those steps gave. */
export interface Answer {
  /** Losses of the members, or the probabilities of their batches. */
  values: number[];
  /** What convolutions and matrix products computed in: `float32`, `bfloat16`. */
  compute: string;
  /** CPU seconds of the process so far, all threads. */
  cpu: number;
  /** Greatest resident memory of the process so far, bytes; null where the system does not tell. */
  peak: number | null;
}
