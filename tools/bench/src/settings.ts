// The settings of one side of a comparison (which network does what, where and how), and the messages of its process.

export interface Settings {
  /** `own`: this project; `pytorch`: its peer. */
  library: 'own' | 'pytorch';
  task: 'train' | 'evaluate';
  /** Number of networks that work at the same time: in this project's worker threads of one process, in PyTorch's processes. */
  members: number;
  /** CPU threads of each member. */
  threads: number;
  /** Volumes per step. */
  batch: number;
  precision: 'float32' | 'mixed';
  /** Whether the step is compiled with XLA; this project only. */
  jit: boolean;
  /** Whether PyTorch's network is compiled by torch.compile. */
  compile: boolean;
  /** Whether dense layers are recomputed in the backward pass; this project only. */
  recompute: boolean;
  architecture: string;
  /** Slices of a volume, which are the network's input channels. */
  depth: number;
  /** Number of slices of each view; [] is an image without a front. */
  views: readonly number[];
  /** Height and width of a volume, in pixels. */
  size: number;
  device: { kind: 'cpu' | 'gpu'; index: number };
  /** Whether a GPU may use TensorFloat-32 in float32 convolutions and matrix products. */
  tf32: boolean;
  /** Safetensors file with the state dict that both sides start from. */
  weights: string;
  /** Safetensors file with the tensor `volumes`: unsigned bytes, [at least batch, depth, height, width]. */
  volumes: string;
}

/** A side's first line on standard output. */
export interface Hello {
  /** Library, version and device, for the report. */
  library: string;
}

/** A side's answer to a line `{ steps }` on its standard input. */
export interface Answer {
  /** Values of the last of these steps: the members' losses, or the probabilities of their batches. */
  values: number[];
  /** Number type of convolutions and matrix products: `float32` or `bfloat16`. */
  compute: string;
  /** CPU seconds of all threads of the process so far. */
  cpu: number;
  /** Peak resident memory of the process so far, in bytes; null where the system does not report it. */
  peak: number | null;
}
