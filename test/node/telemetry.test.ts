/* What a node says of itself is what docs/telemetry.md promises, and dashboards and alerts use nothing else. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { defineTask } from '../../lib/engine/definitions.ts';
import { simple } from '../../lib/engine/tree.ts';
import { call, NodeFolders, trust } from '../support/node-folders.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const PAGE = read('docs/telemetry.md');
const LOG_CALL = /\blog\.(?:debug|info|warn|error)\(\s*(\{[^}]*\}?|[\w.]+)/g;

/** Rows of the table behind a marker. */
function rows(marker: string): string[][] {
  const [, table = ''] = PAGE.split(`<!-- ${marker} -->\n`);
  const lines = table.split('\n\n')[0]!.split('\n').slice(2);
  return lines.filter((line) => line.startsWith('|')).map((line) => line.split('|').slice(1, -1));
}

const codes = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!);

describe('telemetry', () => {
  let folders: NodeFolders;

  before(() => {
    folders = new NodeFolders();
  });
  after(() => folders.close());

  it('given a node in use, when its metrics are read, then they are those of the page, with these types and labels', async () => {
    const work = defineTask({ queue: 'say_queue', action: 'greet' }, () => 'hello');
    const folder = await folders.make('A');
    const peer = await folders.make('Peer');
    const node = await folders.start(folder, { definitions: [work] });
    await trust(node, peer);
    await node.engine.ended(await node.engine.create(simple({ queue: 'say_queue', action: 'greet' })));
    await node.engine.create(simple({ receiver: peer.url, queue: 'say_queue', action: 'greet' }));
    // A job that nobody takes: its queue has no worker here.
    await node.database.knex.raw(
      `update tasks set job = 'execute', job_queue = 'nobody' where receiver_url = ?`,
      [peer.url],
    );
    await node.database.knex('peer_heads').insert({
      ...{ peer_id: node.peers.byUrl(peer.url)!.id, number: 1, hash: 'a', node: peer.url, certificate: 'c' },
      ...{ signature: 's', pem: 'p', first_seen: new Date(), kept: 'fork' },
    });
    await call(folder, folder, 'GET', '/public_api/check_state');
    const text = await (await fetch(`http://127.0.0.1:${folder.healthPort}/metrics`)).text();
    const seen = [...text.matchAll(/^# TYPE (conclave_\w+) (\w+)$/gm)].map(([, name, type]) => ({
      name,
      type,
      labels: [...new Set(labelsOf(text, name!))].sort(),
    }));
    const promised = rows('metrics').map(([name, type, labels]) => ({
      name: codes(name!)[0],
      type: type!.trim(),
      labels: codes(labels!).sort(),
    }));
    expect(seen).to.have.deep.members(promised);
  });

  it('given the sources, when their log lines are listed, then each names an event that is on the page, and no other is', () => {
    const events = new Set<string>();
    const nameless: string[] = [];
    for (const file of globSync(['lib/**/*.ts', 'tasks/**/*.ts'], { cwd: ROOT })) {
      const text = read(file);
      for (const [line, first] of text.matchAll(LOG_CALL)) {
        const named = /event: (?:\w+ \? )?'(\w+)'/.exec(first!)?.[1];
        if (named !== undefined) events.add(named);
        else if (!first!.includes('fields')) nameless.push(`${file}: ${line.slice(0, 80)}`);
      }
      for (const [, event] of text.matchAll(/fields = \{\s*event: '(\w+)'/g)) events.add(event!);
    }
    // Those of the embedded database, whose names are made of its own events.
    for (const [, event] of read('lib/store/embedded.ts').matchAll(/event: ((?:'\w+'(?: \| )?)+);/g))
      for (const [, name] of event!.matchAll(/'(\w+)'/g)) events.add(`database_${name}`);
    expect(nameless).to.deep.equal([]);
    expect([...events].sort()).to.deep.equal(
      rows('events')
        .flatMap(([names]) => codes(names!))
        .sort(),
    );
  });

  for (const file of ['deploy/prometheus/conclave.rules.yml', 'deploy/grafana/conclave.json']) {
    it(`given ${file}, then it uses metrics of the page only`, () => {
      const promised = new Set(rows('metrics').flatMap(([name]) => codes(name!)));
      const used = [...read(file).matchAll(/\bconclave_\w+/g)].map(([name]) => name);
      expect(used.length).to.be.greaterThan(5);
      expect(used.filter((name) => !promised.has(name.replace(/_(count|bucket|sum)$/, '')))).to.deep.equal(
        [],
      );
    });
  }
});

function labelsOf(text: string, metric: string): string[] {
  const lines = text.matchAll(new RegExp(`^${metric}(?:_count)?\\{([^}]*)\\}`, 'gm'));
  return [...lines].flatMap(([, labels]) => [...labels!.matchAll(/(\w+)="/g)].map(([, label]) => label!));
}
