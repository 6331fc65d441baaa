// The published modules of tfjs-core, its tests among them: ES modules that import without extensions from a package
// that does not call itself one, so that Node takes them neither way. Here they are required, compiled on the way.
import { readFileSync } from 'node:fs';
import Module, { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import swc from '@swc/core';

const require = createRequire(import.meta.url);
const folder = join(dirname(require.resolve('@tensorflow/tfjs-core/package.json')), 'dist');
const bundle = /tf-core\.[\w.]*js$/; // what `@tensorflow/tfjs-core` resolves to, CommonJS already
const compileCommonJs = Module._extensions['.js'];

Module._extensions['.js'] = (module, filename) => {
  if (!filename.startsWith(folder) || bundle.test(filename)) return compileCommonJs(module, filename);
  const { code } = swc.transformSync(readFileSync(filename, 'utf8'), {
    filename,
    module: { type: 'commonjs' },
    jsc: { target: 'es2022' },
    swcrc: false,
    inputSourceMap: false,
  });
  module._compile(code, filename);
};

/** A module of tfjs-core by its path: `index`, `ops/conv2d_test`. */
export const requireCore = (path) => require(join(folder, `${path}.js`));
