// The program behind `nx run engine:install [--gpu] [--wheels FOLDER]`: prints where TensorFlow is, or downloads it.
import { parseArgs } from 'node:util';
import { EngineError, messageOf } from '../errors.ts';
import { findGpuTensorFlow, findTensorFlow, hasCuda, thisHost } from './library.ts';

try {
  const { gpu = false, wheels } = options();
  const found = gpu ? findGpuTensorFlow() : findTensorFlow();
  if (found === null) {
    const { installTensorFlow } = await import('./install.ts');
    await installTensorFlow({ gpu, ...(wheels === undefined ? {} : { wheels }) });
  } else {
    const version = found.version ?? '(version unknown)';
    console.log(`TensorFlow ${version} is in ${found.folder} (${found.source})`);
    if (thisHost().nvidia && !hasCuda(found)) {
      console.log(
        'It is for CPUs only, but this machine has an NVIDIA driver: `nx run engine:install --gpu` installs the version with CUDA',
      );
    }
  }
} catch (error) {
  if (!(error instanceof EngineError)) throw error;
  console.error(error.message);
  process.exitCode = error.code === 'stopped' ? 130 : 1;
}

function options() {
  try {
    return parseArgs({ options: { gpu: { type: 'boolean' }, wheels: { type: 'string' } } }).values;
  } catch (error) {
    console.error(`${messageOf(error)} → the options are --gpu and --wheels FOLDER`);
    process.exit(2);
  }
}
