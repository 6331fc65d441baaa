// The value of a tfjs variable in a TensorFlow resource: captured steps read and update it in place.
import type { Context } from './context.ts';
import { execute } from './eager.ts';
import type { EagerTensor } from './tensors.ts';
import { type Attribute, AttributeType } from './types.ts';

/** A tensor whose value may change: what a captured step does to it shows at the next `value()`. */
export interface VariableTensor {
  /** The resource's handle. */
  readonly resource: EagerTensor;
  readonly dtype: number;
  readonly shape: number[];
  /** Its present value, read once and remembered until `changed`; belongs to the variable. */
  value(): EagerTensor;
  /** Forgets the value that was read; to be called before an update, which copies what is still read, and after it. */
  changed(): void;
  /** Frees the value. */
  close(): void;
}

let variables = 0;

/** Makes a resource on the context's device that holds this value. */
export function openVariable(context: Context, start: EagerTensor): VariableTensor {
  const { api } = context;
  const { dtype, shape } = start;
  const run = (name: string, attributes: Attribute[], inputs: EagerTensor[]) =>
    execute(context, { name, attributes, inputs, outputs: name.startsWith('Assign') ? 0 : 1 });
  const type = { name: 'dtype', type: AttributeType.TYPE, value: dtype };
  const [resource] = run(
    'VarHandleOp',
    [
      type,
      { name: 'shape', type: AttributeType.SHAPE, value: shape },
      { name: 'shared_name', type: AttributeType.STRING, value: `variable_${variables++}` },
    ],
    [],
  ) as [EagerTensor];
  run('AssignVariableOp', [type], [resource, start]);
  let read: EagerTensor | undefined;
  const changed = () => {
    if (read) api.TFE_DeleteTensorHandle(read.handle);
    read = undefined;
  };
  return {
    resource,
    dtype,
    shape,
    value: () => (read ??= run('ReadVariableOp', [type], [resource])[0]!),
    changed,
    close() {
      changed();
      execute(context, { name: 'DestroyResourceOp', attributes: [], inputs: [resource], outputs: 0 });
      api.TFE_DeleteTensorHandle(resource.handle);
    },
  };
}
