// Types of devices: as requested for an engine, as listed by TensorFlow, and as reported to users.

/** A device to open an engine on. */
export interface Device {
  kind: 'cpu' | 'gpu';
  /**
   * Number of the device, from 0. CPU devices other than 0 are virtual: TensorFlow treats them as separate devices,
   * but they share the same cores.
   */
  index: number;
  /**
   * CPU threads within one op; default: all cores. TensorFlow's thread pool belongs to the process, so the first
   * engine sets the number for all. If a later engine asks for another number, a line in `Engine.notes` reports it.
   */
  threads?: number;
  /**
   * Bytes of a GPU's memory that this engine may use for tensors; CUDA and cuDNN need some hundred MB in addition. The
   * GPU is divided into shares of this size, each with its own allocator and stream, so all engines of a process must
   * give the same limit or none. Without a limit, the engines of a process share one allocator, which grows as needed,
   * and one stream per GPU.
   */
  memoryLimit?: number;
}

export interface ListedDevice {
  /** TensorFlow's full name. */
  fullName: string;
  /** Bytes; for a GPU, the part that TensorFlow may use. */
  memory: number;
}

export interface DeviceInfo {
  /** `CPU:0`, `GPU:1`. */
  name: string;
  kind: 'cpu' | 'gpu';
  index: number;
  /** Bytes. CPU: memory of the machine, or of the container if that is less. GPU: what TensorFlow may use now. */
  memory?: number;
}
