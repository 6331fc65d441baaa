// The effect of the switches, checked with TensorFlow's own getters.
import koffi from 'koffi';
import { loadTensorFlow, type TensorFlowApi } from './native/declarations.ts';
import { requireTensorFlow } from './library/library.ts';
import { setNumerics } from './numerics.ts';
import { Place, processState } from './native/process-state.ts';

const library = requireTensorFlow();
const api = loadTensorFlow(library);
const framework = koffi.load(library.framework, { lazy: true, global: true });
const isDeterministic = framework.func('_ZN3tsl21OpDeterminismRequiredEv', 'bool', []);
const hasTf32 = framework.func('_ZN3tsl33tensor_float_32_execution_enabledEv', 'bool', []);
const inForce = () => ({ deterministic: isDeterministic(), tf32: hasTf32() });

const forget = () => {
  for (const place of [Place.TF32, Place.DETERMINISTIC]) Atomics.store(processState(), place, 0);
};
beforeEach(forget);
afterAll(() => {
  setNumerics(api, { deterministic: false, tf32: false });
  forget();
});

test.each([
  [{ deterministic: true, tf32: true }],
  [{ deterministic: true, tf32: false }],
  [{ deterministic: false, tf32: true }],
  [{ deterministic: false, tf32: false }],
])('%j holds in TensorFlow', (asked) => {
  expect(setNumerics(api, asked)).toEqual({ ...asked, notes: [] });
  expect(inForce()).toEqual(asked);
  expect(setNumerics(api, {})).toEqual({ ...asked, notes: [] });
  expect(inForce()).toEqual(asked);
});

test('unasked, TF32 is off and determinism as TF_DETERMINISTIC_OPS says', () => {
  expect(setNumerics(api, {})).toEqual({ deterministic: false, tf32: false, notes: [] });
  expect(inForce()).toEqual({ deterministic: false, tf32: false });
  forget();
  process.env['TF_DETERMINISTIC_OPS'] = '1';
  try {
    expect(setNumerics(api, {}).deterministic).toBe(true);
  } finally {
    delete process.env['TF_DETERMINISTIC_OPS'];
  }
});

test('a library that does not export them gets the variables, and a note says so', () => {
  const c = koffi.load(null);
  const getenv = c.func('getenv', 'str', ['str']);
  const bare = { switches: { determinism: undefined, tf32: undefined } } as unknown as TensorFlowApi;
  expect(setNumerics(bare, {}).notes).toEqual([
    expect.stringMatching(/^tf32 was set through NVIDIA_TF32_OVERRIDE/),
  ]);
  expect([getenv('TF_DETERMINISTIC_OPS'), getenv('NVIDIA_TF32_OVERRIDE')]).toEqual([null, '0']);
  expect(setNumerics(bare, { deterministic: true }).notes).toHaveLength(2); // changed, and through a variable
  expect(getenv('TF_DETERMINISTIC_OPS')).toBe('1');
  const unsetenv = c.func('unsetenv', 'int', ['str']);
  for (const name of ['TF_DETERMINISTIC_OPS', 'NVIDIA_TF32_OVERRIDE']) unsetenv(name);
});
