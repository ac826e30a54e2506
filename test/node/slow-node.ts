/*
 * A node as a process of its own, to be killed: `slow-node.ts wait SETTINGS` creates a task whose handler never ends;
 * `slow-node.ts finish SETTINGS` has a handler that does.
 */
import { defineTask } from '../../lib/engine/definitions.ts';
import { simple } from '../../lib/engine/tree.ts';
import { startNode } from '../../lib/node/node.ts';
import { loadSettings } from '../../lib/node/settings.ts';

const [mode, settings] = process.argv.slice(2);
const slow = defineTask({ queue: 'slow_queue', action: 'slow' }, async (_task, ctx) => {
  if (mode === 'finish') return 'done by the process that came after';
  await new Promise((_resolve, reject) =>
    ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason)),
  );
});
const node = await startNode(await loadSettings(settings, {}), { definitions: [slow] });
if (mode === 'wait') await node.engine.create(simple({ queue: 'slow_queue', action: 'slow' }));
