/*
 * A node's process, as far as its database goes: starts the embedded server as its first argument (JSON options)
 * says, prints what it got as one line of JSON, and stops when its standard input ends. Run by installation.ts.
 */
import { startEmbedded } from '../../../lib/store/embedded.ts';

const server = await startEmbedded(JSON.parse(process.argv[2]!)).catch((error) => {
  process.stdout.write(`${JSON.stringify({ problem: error.problem ?? null, message: error.message })}\n`);
  process.exit(1);
});
const { connection, adopted, place, pid } = server;
process.stdout.write(`${JSON.stringify({ connection, adopted, place, pid })}\n`);
process.stdin.resume();
process.stdin.once('end', async () => {
  process.stdout.write(`${JSON.stringify(await server.stop())}\n`);
});
