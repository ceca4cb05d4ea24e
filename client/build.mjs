// Builds the package from src: node build.mjs [directory]. Without a directory: dist.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

process.chdir(fileURLToPath(new URL('.', import.meta.url)));
const out = process.argv[2] ?? 'dist';

await build({
  entryPoints: ['src/index.ts'],
  outfile: `${out}/portcullis-client.js`,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
});
execFileSync(process.execPath, ['node_modules/typescript/bin/tsc', '--outDir', out], { stdio: 'inherit' });
