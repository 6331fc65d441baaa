// Loads the published modules of tfjs-core, including its tests. They are ES modules that import without file
// extensions, in a package not marked as ES modules, so Node can load them neither way. Here they are compiled to
// CommonJS.
import { readFileSync } from 'node:fs';
import Module, { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import swc from '@swc/core';

const require = createRequire(import.meta.url);
const folder = join(dirname(require.resolve('@tensorflow/tfjs-core/package.json')), 'dist');
const bundle = /tf-core\.[\w.]*js$/; // what `@tensorflow/tfjs-core` resolves to; already CommonJS
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

/** Loads a module of tfjs-core by its path, for example `index` or `ops/conv2d_test`. */
export const requireCore = (path) => require(join(folder, `${path}.js`));
