// Variables in TensorFlow resources, which captured steps read and update in place.
import type { Context } from '../devices/context.ts';
import { execute } from '../backend/eager.ts';
import type { EagerTensor, VariableTensor } from './tensors.ts';
import { type Attribute, AttributeType } from './types.ts';

let variables = 0;

/** Makes a resource on the context's device with the given initial value; `start` remains the caller's. */
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
