// How the tools read their command lines.

import { parseArgs } from 'node:util';

/** What `parseArgs` makes of the command line. What it refuses ends the tool with one line and exit code 2. */
export function optionsOf(tool, config = {}) {
  try {
    return parseArgs(config);
  } catch (error) {
    if (!`${error.code}`.startsWith('ERR_PARSE_ARGS')) throw error;
    refuse(tool, error.message);
  }
}

/** Ends the tool as one that was called wrongly. */
export function refuse(tool, message) {
  console.error(`${tool}: ${message}`);
  process.exit(2);
}
