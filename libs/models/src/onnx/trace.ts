// Records the operations of a network: runs a forward pass on a tfjs backend that infers shapes and computes no values.
import { GROUPED_CONV2D } from '@ct-ensemble/engine';
import tf, {
  type backend_util,
  type DataId,
  type DataType,
  type KernelFunc,
  type Tensor4D,
  type TensorInfo,
} from '@tensorflow/tfjs';
import { buildNetwork, inputChannels, type ModelOptions } from '../registry.ts';

/** An input or output of an operation. Four-dimensional values are [batch, height, width, channels]. */
export interface Value {
  readonly shape: readonly number[];
  /** Set if the value is a parameter of the network: its name in the state dict. */
  readonly parameter?: { readonly name: string; readonly trainable: boolean };
  /** Set if the value is a constant in the network's code. */
  readonly constant?: ArrayLike<number>;
}

/** One recorded operation. */
export interface Op {
  /** Name of the tfjs kernel. */
  readonly kernel: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** The kernel's attributes; of convolutions and pools also the fields of a `Window`. */
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** The window of a convolution or pool, in pixels. */
export interface Window {
  readonly size: readonly [height: number, width: number];
  readonly strides: readonly [number, number];
  /** Padding above, left, below, right. */
  readonly pads: readonly [number, number, number, number];
}

/** A network in evaluation mode; the operations are in the order of computation. */
export interface Graph {
  readonly input: Value;
  readonly output: Value;
  readonly ops: readonly Op[];
}

export interface TraceOptions extends Omit<ModelOptions, 'seed'> {
  /** Number of volumes; default 1. */
  batch?: number;
  /** Height and width of the volume, in pixels. */
  size: readonly [height: number, width: number];
}

/**
 * Records the forward pass of a network in evaluation mode. No weights are needed and nothing is computed. Afterwards tfjs's
 * current backend is the one that was current before, or tfjs's CPU backend if there was none.
 * @throws {UserError} for an unknown architecture, or a size that does not fit the network.
 * @throws {Error} for an operation that is not known here.
 */
export async function traceNetwork(architecture: string, options: TraceOptions): Promise<Graph> {
  const before = tf.getBackend() as string | null | undefined; // undefined before a first backend is set, null after the last is removed
  await tf.setBackend(backendName);
  recorder.begin();
  try {
    return forwardOps(architecture, options);
  } finally {
    recorder.begin();
    await tf.setBackend(before || 'cpu');
  }
}

function forwardOps(architecture: string, { batch = 1, size, ...options }: TraceOptions): Graph {
  const model = buildNetwork(architecture, options);
  try {
    for (const { name, variable } of model.parameters.byName.values()) {
      recorder.name(variable.dataId, { name, trainable: variable.trainable });
    }
    const values: Pick<Graph, 'input' | 'output'>[] = [];
    tf.tidy(() => {
      const x: Tensor4D = tf.zeros([batch, ...size, inputChannels(options)]);
      const y = model.forward(x, { training: false });
      values.push({ input: recorder.value(x), output: recorder.value(y) });
    });
    return { ...values[0]!, ops: recorder.ops };
  } finally {
    model.dispose();
  }
}

const backendName = 'trace';

class Recorder extends tf.KernelBackend {
  ops: Op[] = [];
  private values = new Map<DataId, Value>();

  begin() {
    this.ops = [];
    this.values = new Map();
  }

  /** Creates a tensor that is the output of an operation. */
  create(shape: readonly number[], dtype: DataType): TensorInfo {
    const dataId = {};
    this.values.set(dataId, { shape });
    return { dataId, shape: [...shape], dtype };
  }

  /** Marks a tensor as a parameter of the network. */
  name(dataId: DataId, parameter: NonNullable<Value['parameter']>) {
    const { shape } = this.values.get(dataId)!;
    this.values.set(dataId, { shape, parameter });
  }

  value({ dataId }: { dataId: DataId }): Value {
    return this.values.get(dataId)!;
  }

  override write(values: unknown, shape: number[]): DataId {
    const dataId = {};
    this.values.set(dataId, { shape, constant: values as ArrayLike<number> });
    return dataId;
  }

  override move(dataId: DataId, values: unknown, shape: number[]) {
    this.values.set(dataId, { shape, constant: values as ArrayLike<number> });
  }

  override numDataIds() {
    return this.values.size;
  }

  override disposeData() {
    return true; // the value itself is kept, because the graph may refer to it
  }

  override refCount() {
    return 1;
  }

  override incRef() {}

  decRef() {}

  override floatPrecision(): 32 {
    return 32;
  }
}

type Shape = readonly number[];
type Attributes = Record<string, unknown>;
/** Infers the outputs' shapes, and attributes to be recorded beside the kernel's own. */
type Infer = (inputs: Shape[], attributes: Attributes) => { shapes: Shape[]; attributes?: object };

const same: Infer = ([x]) => ({ shapes: [x!] });
const broadcast: Infer = ([a, b]) => ({
  shapes: [tf.broadcast_util.assertAndGetBroadcastShape([...a!], [...b!])],
});

/** Throws if an attribute has a value that the shape inference here does not support; a wrong graph would be recorded otherwise. */
function requireSupported(attributes: Attributes, supported: Record<string, string>) {
  for (const [name, value] of Object.entries(supported)) {
    const found = attributes[name] ?? value;
    if (String(found) !== value)
      throw new Error(`an operation with ${name} ${String(found)} is not supported: add it to trace.ts`);
  }
}

const convolution: Infer = ([x, filter], { strides, pad, dilations = 1, dataFormat = 'NHWC' }) => {
  requireSupported(
    { dilations: [dilations].flat().every((step) => step === 1), dataFormat },
    { dilations: 'true', dataFormat: 'NHWC' },
  );
  const info = tf.backend_util.computeConv2DInfo(
    x as [number, number, number, number],
    filter as [number, number, number, number],
    strides as [number, number],
    1,
    pad as 'same',
  );
  return { shapes: [info.outShape], attributes: windowOf(info) };
};

const pooling: Infer = ([x], { filterSize, strides, pad }) => {
  const info = tf.backend_util.computePool2DInfo(
    x as [number, number, number, number],
    filterSize as [number, number],
    strides as [number, number],
    1,
    pad as 'same',
  );
  return { shapes: [info.outShape], attributes: windowOf(info) };
};

function windowOf(info: backend_util.Conv2DInfo): Window {
  const { top, left, bottom, right } = info.padInfo;
  return {
    size: [info.filterHeight, info.filterWidth],
    strides: [info.strideHeight, info.strideWidth],
    pads: [top, left, bottom, right],
  };
}

/** By kernel: the names of the inputs in the order in which they are recorded (none: all, in order), and the shape inference. */
const kernels: Record<string, { inputs: readonly string[]; infer: Infer }> = {
  Conv2D: { inputs: ['x', 'filter'], infer: convolution },
  [GROUPED_CONV2D]: { inputs: ['x', 'filter'], infer: convolution },
  MaxPool: { inputs: ['x'], infer: pooling },
  AvgPool: { inputs: ['x'], infer: pooling },
  FusedBatchNorm: { inputs: ['x', 'scale', 'offset', 'mean', 'variance'], infer: same },
  Relu: { inputs: ['x'], infer: same },
  Sigmoid: { inputs: ['x'], infer: same },
  Add: { inputs: ['a', 'b'], infer: broadcast },
  Multiply: { inputs: ['a', 'b'], infer: broadcast },
  BatchMatMul: {
    inputs: ['a', 'b'],
    infer([a, b], attributes) {
      requireSupported(attributes, { transposeA: 'false', transposeB: 'false' });
      return { shapes: [[a![0]!, b![1]!]] };
    },
  },
  PadV2: {
    inputs: ['x'],
    infer([x], attributes) {
      requireSupported(attributes, { constantValue: '0' });
      const paddings = attributes['paddings'] as [number, number][];
      return { shapes: [x!.map((edge, axis) => edge + sum(paddings[axis]!))] };
    },
  },
  ResizeNearestNeighbor: {
    inputs: ['images'],
    infer([x], attributes) {
      requireSupported(attributes, { alignCorners: 'false', halfPixelCenters: 'false' });
      return { shapes: [[x![0]!, ...(attributes['size'] as [number, number]), x![3]!]] };
    },
  },
  Mean: {
    inputs: ['x'],
    infer([x], { axis, keepDims }) {
      const isMean = (i: number) => (axis as number[]).includes(i);
      return {
        shapes: [keepDims ? x!.map((edge, i) => (isMean(i) ? 1 : edge)) : x!.filter((_, i) => !isMean(i))],
      };
    },
  },
  Concat: {
    inputs: [],
    infer: (parts, { axis }) => ({
      shapes: [parts[0]!.map((edge, i) => (i === axis ? sum(parts.map((part) => part[i]!)) : edge))],
    }),
  },
  SplitV: {
    inputs: ['x'],
    infer: ([x], { numOrSizeSplits, axis }) => ({
      shapes: (numOrSizeSplits as number[]).map((size) => x!.map((edge, i) => (i === axis ? size : edge))),
    }),
  },
};

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

const recorder = new Recorder();
tf.registerBackend(backendName, () => recorder, 0);
for (const [kernelName, { inputs: names, infer }] of Object.entries(kernels)) {
  const kernelFunc: KernelFunc = ({ inputs, attrs }) => {
    const given = names.length === 0 ? Object.values(inputs) : names.map((name) => inputs[name]!);
    const tensors = given as TensorInfo[];
    const { shapes, attributes } = infer(
      tensors.map(({ shape }) => shape),
      attrs as Attributes,
    );
    const outputs = shapes.map((shape) => recorder.create(shape, tensors[0]!.dtype));
    recorder.ops.push({
      kernel: kernelName,
      inputs: tensors.map((tensor) => recorder.value(tensor)),
      outputs: outputs.map((tensor) => recorder.value(tensor)),
      attributes: { ...attrs, ...attributes },
    });
    return outputs.length === 1 && kernelName !== 'SplitV' ? outputs[0]! : outputs;
  };
  tf.registerKernel({ kernelName, backendName, kernelFunc });
}

// tfjs reshapes the output of batch normalisation to its own shape and casts the output of average pools to its own type. Such
// operations change nothing and are not recorded; others are not supported.
for (const kernelName of ['Reshape', 'Cast']) {
  const kernelFunc: KernelFunc = ({ inputs, attrs }) => {
    const { dataId, shape, dtype } = inputs['x']!;
    const wanted: unknown = kernelName === 'Cast' ? attrs!['dtype'] : attrs!['shape'];
    if (String(wanted) === String(kernelName === 'Cast' ? dtype : shape)) return { dataId, shape, dtype };
    throw new Error(
      `the operation ${kernelName} from ${dtype} [${shape.join(', ')}] to ${String(wanted)} is not supported: add it to trace.ts`,
    );
  };
  tf.registerKernel({ kernelName, backendName, kernelFunc });
}
