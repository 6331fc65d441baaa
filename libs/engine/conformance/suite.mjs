// Child process that runs some of tfjs-core's test files on one backend and reports the result of each spec to its
// parent.
//   node suite.mjs tensorflow|cpu ops/conv2d ops/max_pool …
import Jasmine from 'jasmine';
import { requireCore } from './core.mjs';

const [backend, ...files] = process.argv.slice(2);
const tf = requireCore('index');
requireCore('public/chained_ops/register_all_chained_ops');
requireCore('register_all_gradients');
await import(`./${backend}.mjs`);

const runner = new Jasmine();
runner.exitOnCompletion = false;
runner.clearReporters();
runner.env.configure({ random: false });
runner.addReporter({
  specStarted: ({ fullName }) => process.send({ started: fullName }),
  specDone: ({ fullName, status, failedExpectations }) =>
    process.send({ name: fullName, status, failures: failedExpectations.map(({ message }) => message) }),
});
requireCore('jasmine_util').setTestEnvs([
  { name: 'tensorflow', backendName: 'tensorflow', isDataSync: true },
]);
for (const file of files) requireCore(`${file}_test`);
await runner.env.execute();

// With a lower reported precision the suite would compare with a tolerance of 0.1 instead of 0.001.
await tf.setBackend('tensorflow');
process.send({ floatPrecision: tf.backend().floatPrecision() });
process.disconnect();
