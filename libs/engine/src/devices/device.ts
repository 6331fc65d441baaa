// What a device is: asked for, as TensorFlow lists it, and as a person is told of it.

/** Where a member computes. */
export interface Device {
  kind: 'cpu' | 'gpu';
  /** 0, 1, …: which one. CPU devices beyond 0 are virtual: separate devices to TensorFlow, on the same cores. */
  index: number;
  /**
   * CPU threads within one op; default: all cores. TensorFlow's pool belongs to the process, so the first context
   * that is opened decides for all; a later one that asks for another number is told so in `Engine.notes`.
   */
  threads?: number;
  /**
   * Bytes of a GPU's memory that this engine may take, for the tensors; CUDA and cuDNN take some hundred MB beside
   * them. The GPU is divided in shares of this size, each with an allocator and a stream of its own, so that all
   * engines of a process must give the same limit or none. Without it the engines of a process share a GPU's memory,
   * which grows with their need, and take turns on its one stream.
   */
  memoryLimit?: number;
}

export interface ListedDevice {
  /** TensorFlow's full name. */
  fullName: string;
  /** Bytes; for a GPU what TensorFlow may take of it. */
  memory: number;
}

export interface DeviceInfo {
  /** `CPU:0`, `GPU:1`. */
  name: string;
  kind: 'cpu' | 'gpu';
  index: number;
  /** Bytes: a CPU's are the machine's or the container's; a GPU's are what TensorFlow may take now. */
  memory?: number;
}
