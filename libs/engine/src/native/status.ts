// Converts a TF_Status to an EngineError: one line that names the tfjs op, without TensorFlow's internal details.
import type { Pointer, TensorFlowApi } from './declarations.ts';
import { EngineError } from '../errors.ts';

/** TF_Code (tensorflow/c/tf_status.h) */
const RESOURCE_EXHAUSTED = 8;

/** Throws EngineError if the status is not OK. `doing` says what was attempted, usually the name of an op. */
export function check(api: TensorFlowApi, status: Pointer, doing: string | (() => string)): void {
  const code = api.TF_GetCode(status);
  if (code === 0) return;
  const message = api.TF_Message(status);
  throw faultOf({ code, message, doing: typeof doing === 'string' ? doing : doing() });
}

export interface Status {
  code: number;
  /** TensorFlow's message. */
  message: string;
  /** What was attempted, usually the name of an op. */
  doing: string;
}

/** The error 'out-of-memory', 'not-finite' or 'tensorflow' for a status that is not OK. */
export function faultOf({ code, message, doing }: Status): EngineError {
  const facts = factsOf(message);
  const text = `${nodeOf(message) ?? (/^step_\d+_\d+$/.test(doing) ? 'a captured step' : doing)}: ${facts}`;
  if (code === RESOURCE_EXHAUSTED) {
    return new EngineError('out-of-memory', text, {
      remedy: 'use a smaller batch, fewer members at once, or a device with more memory',
    });
  }
  // The message that graph.ts gives to CheckNumerics.
  const notFinite = /(?:tf\.\w+ \()?\w+\)? gave a value that is not finite/.exec(facts)?.[0];
  if (notFinite === undefined) return new EngineError('tensorflow', text);
  const kinds = /Tensor had (.*) values/.exec(facts)?.[1];
  return new EngineError('not-finite', `inside a captured step ${notFinite}${kinds ? `: ${kinds}` : ''}`);
}

/**
 * The op that failed in a captured step. Nodes are named `<tfjs op>/<TensorFlow op>_<number>`, or `step/…` outside of
 * a tfjs op.
 */
function nodeOf(message: string): string | undefined {
  if (!message.includes('{{function_node')) return undefined;
  const [, name, op] = /\{\{node (?:[^}]*\/)?(\w+)\/(\w+?)_\d+[^}]*\}\}/.exec(message) ?? [];
  const what = op === undefined ? 'an op' : name === 'step' ? op : `tf.${name} (${op})`;
  return `${what} inside a captured step`;
}

/** TensorFlow's message without names of graph nodes, jobs and allocators. */
function factsOf(message: string): string {
  return message
    .replace(/\nHint:[^\n]*/g, '') // hints about options that this engine does not offer
    .replace(/\s*\[\[[^\]]*\]\]/g, '') // [[{{node …}}]]
    .replace(/ for '\{\{node [^']*'/g, ',') // for '{{node x}} = MatMul[T=DT_FLOAT, …](a, b)'
    .replace(/\{\{(?:function_)?node [^}]*\}\}\s*/g, '')
    .replace(/\s*\[Op:[^\]]*\]/g, '')
    .replace(/\/job:\w+\/replica:\d+\/task:\d+\/device:/g, '')
    .replace(/ by allocator \w+/g, '')
    .replace(/\s+/g, ' ')
    .trim();
}
