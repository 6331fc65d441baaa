#!/usr/bin/env node
// Writes docs/cli.md.
import { writeFileAtomic } from '@ct-ensemble/core';
import { cliMarkdown } from './markdown.ts';
import { programs } from './programs.ts';

await writeFileAtomic('docs/cli.md', cliMarkdown(programs.map((build) => build())));
