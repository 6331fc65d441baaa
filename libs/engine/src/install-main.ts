// The program behind `nx run engine:install`: one line when TensorFlow is there, else fetches it.
import { EngineError } from './errors.ts';
import { findTensorFlow } from './library.ts';

try {
  const found = findTensorFlow();
  if (found === null) {
    const { installTensorFlow } = await import('./install.ts');
    await installTensorFlow();
  } else {
    const version = found.version ?? '(version unknown)';
    console.log(`TensorFlow ${version} is in ${found.folder} (${found.source})`);
  }
} catch (error) {
  if (!(error instanceof EngineError)) throw error;
  console.error(error.message);
  process.exitCode = error.code === 'stopped' ? 130 : 1;
}
