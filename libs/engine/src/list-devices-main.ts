// The program that `listDevices` starts: prints the devices as one JSON line.
import { contextDevices } from './devices/context.ts';
import { loadTensorFlow } from './native/declarations.ts';
import { messageOf } from './errors.ts';
import type { TensorFlowLibrary } from './library/library.ts';

try {
  const library = JSON.parse(process.argv[2] ?? '') as TensorFlowLibrary;
  console.log(JSON.stringify(contextDevices(loadTensorFlow(library))));
} catch (error) {
  console.error(messageOf(error));
  process.exitCode = 1;
}
