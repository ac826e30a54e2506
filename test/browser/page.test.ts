import { expect } from 'chai';
import type { Page } from 'playwright-core';
import { until } from '../support/nodes.ts';
import { inaccessible, TestBrowser } from './browser.ts';
import { NOW, peers, TREE, verification } from './fake-data.ts';
import { FakeServer } from './fake-server.ts';

const PAGES = [
  '/',
  '/approvals/approval-1',
  '/approvals/approval-2',
  '/elections',
  '/elections/1',
  '/elections/2',
  '/tasks',
  '/tasks/task-20',
  '/peers',
  '/peers/peer-2',
  '/messages',
  '/messages/5',
  '/audit',
];
const HOSTILE = '<img src=x onerror="document.title=`taken`"> \u202Egpj.exe\u2066\u200B';
const SHOWN = '<img src=x onerror="document.title=`taken`"> \\u{202e}gpj.exe\\u{2066}\\u{200b}';

describe("the console's page", function () {
  this.timeout(60_000);
  let server: FakeServer;
  let browser: TestBrowser;
  let page: Page;

  const see = async (path: string): Promise<void> => {
    await page.goto(`${server.address}${path}`);
    await page.locator('.arriving').first().waitFor({ state: 'detached' });
    await page.getByRole('heading', { level: 1 }).waitFor();
  };
  const requestsSince = (from: number): string[] => server.asked.slice(from);

  before(async () => {
    [server, browser] = await Promise.all([FakeServer.start(), TestBrowser.launch()]);
    page = await browser.open(server.address);
  });
  afterEach(async () => {
    server.say = (text) => text;
    expect(browser.takeComplaints()).to.deep.equal([]);
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  it('given a tally, when events say that it goes on, then its bars move and its page stays where it is', async () => {
    server.shuffled = 100;
    await see('/elections/1');
    const bar = page.getByRole('progressbar', { name: 'shuffling' });
    expect(await bar.getAttribute('aria-valuenow')).to.equal('10');
    const mark = await page.locator('h1').elementHandle();
    server.shuffled = 730;
    server.tell('elections', { ids: ['1'] });
    await page.getByText('730 / 1,000').waitFor();
    expect(await bar.getAttribute('aria-valuenow')).to.equal('73');
    server.shuffled = 1000;
    server.tell('elections', { ids: ['1'] });
    await bar.waitFor({ state: 'detached' });
    expect(await mark!.evaluate((heading) => heading.isConnected)).to.equal(true);
  });

  it('given a published tally, when it is verified, then each step is shown, and how it ended', async () => {
    await see('/elections/2');
    await page.getByRole('button', { name: 'Verify again' }).click();
    await page.getByRole('button', { name: 'Verifying…' }).waitFor();
    server.tell('verification', verification(server.say, 'invalid', 'verification-2'));
    await page.getByText('The tally does not verify. Do not use its results.').waitFor();
    expect(await page.locator('.verification .steps li').count()).to.equal(3);
  });

  it('given a node that goes away and comes back, when it is back, then the page says so, resumes after the last event it has, and shows what it missed', async () => {
    server.shuffled = 100;
    await see('/elections/1');
    server.tell('messages', { pending: 1, dead: 0 });
    server.tell('elections', { ids: ['1'] });
    const tells = 2;
    await until(
      'the event is heard',
      () => server.asked.filter((one) => one.endsWith('/elections/1')).length >= 2,
    );
    server.leave();
    const banner = page.getByRole('alert').getByText('The connection to the node is lost.');
    await banner.waitFor();
    expect(await page.getByText('100 / 1,000').count(), 'what was there stays').to.equal(1);
    server.shuffled = 555;
    server.tell('elections', { ids: ['1'] });
    server.comeBack();
    await page.getByRole('button', { name: 'Try now' }).click();
    await banner.waitFor({ state: 'detached' });
    await page.getByText('555 / 1,000').waitFor();
    expect(Number(server.lastEventIds.at(-1))).to.be.at.least(tells);
    browser.takeComplaints();
  });

  it('given 3,000 tasks, when one scrolls through them, then only the rows in view exist, and no frame takes long', async () => {
    await see(`/tasks/${TREE.root}`);
    const tree = page.getByRole('tree');
    await tree.getByText('step 2', { exact: true }).locator('..').locator('.tree-twisty').click();
    await until('all children', async () => (await height(page)) > 2_900 * 44);
    const { rows, longest } = await tree.evaluate(async (box) => {
      const { requestAnimationFrame } = box.ownerDocument.defaultView;
      const end = box.scrollHeight;
      let [rows, longest, before] = [0, 0, performance.now()];
      for (let step = 0; step <= 40; step += 1) {
        box.scrollTop = (end * step) / 40;
        await new Promise((resolve) => requestAnimationFrame(resolve));
        await new Promise((resolve) => requestAnimationFrame(resolve));
        longest = Math.max(longest, performance.now() - before);
        before = performance.now();
        rows = Math.max(rows, box.querySelectorAll('[role=treeitem]').length);
      }
      return { rows, longest };
    });
    expect(rows).to.be.within(10, 60);
    expect(longest, 'milliseconds for two frames, on a busy machine').to.be.below(1_000);
    await tree.getByText(`step ${TREE.tasks - 1}`, { exact: true }).waitFor();
  });

  it('given an open tree, when an event names tasks, then only the pages with them are asked for, and they change', async () => {
    const from = server.asked.length;
    server.finished.add('task-15');
    server.tell('tasks', { ids: ['task-15'], roots: [TREE.root], complete: true });
    await page.locator('.tree').evaluate((box) => {
      box.scrollTop = 0;
    });
    const row = page.getByRole('treeitem').filter({ hasText: 'step 15' });
    await row.getByText('Finished').waitFor();
    expect(requestsSince(from).filter((one) => one.includes('/children'))).to.deep.equal([
      `GET /api/tasks/${TREE.wide}/children?limit=500`,
    ]);
    expect(await row.getAttribute('aria-setsize')).to.equal(String(TREE.tasks - 9));
  });

  it('given a task deep in a tree, when it is opened by its address, then the tree is open down to it', async () => {
    await see(`/tasks/${TREE.deep}`);
    const row = page.getByRole('treeitem', { selected: true });
    await row.waitFor();
    expect(await row.textContent()).to.contain('step 8');
    expect(await row.getAttribute('aria-level')).to.equal('7');
    await page.getByRole('heading', { name: 'step 8' }).waitFor();
  });

  it('given only a keyboard, when one walks through a tree, then every task can be reached, opened, shut and chosen', async () => {
    await see(`/tasks/${TREE.root}`);
    const tree = page.getByRole('tree');
    await tree.getByText('step 3', { exact: true }).waitFor();
    await tree.focus();
    const active = async (): Promise<string> => {
      const id = await tree.getAttribute('aria-activedescendant');
      return (await page.locator(`#${id} .tree-name`).textContent())!;
    };
    const press = async (keys: string): Promise<string> => {
      for (const key of keys.split(' ')) await page.keyboard.press(key);
      return await active();
    };
    expect(await press('ArrowDown ArrowDown ArrowDown')).to.equal('step 3');
    await page.keyboard.press('ArrowRight');
    await tree.getByText('step 4', { exact: true }).waitFor();
    expect(await press('ArrowRight')).to.equal('step 4');
    expect(await press('ArrowLeft')).to.equal('step 3');
    expect(await press('ArrowLeft End')).to.equal('step 3');
    expect(await press('Home')).to.equal('Tally the election');
    expect(await press('ArrowDown Enter')).to.equal('step 1');
    await page.getByRole('heading', { name: 'step 1' }).waitFor();
    expect(page.url()).to.contain('/tasks/task-1');
    expect(await tree.evaluate((element) => element === element.ownerDocument.activeElement)).to.equal(true);
  });

  it('given a task, when it is cancelled with a reason, then the node is told, with the token of the session', async () => {
    await see('/tasks/task-12');
    await page.getByRole('button', { name: 'Cancel the task' }).click();
    await page.getByRole('dialog').getByLabel('Reason').fill('not needed');
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel the task' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    expect(server.asked).to.include('POST /api/tasks/task-12/cancel {"reason":"not needed"}');
  });

  it('given a peer file, when it is chosen and its words compared, then the peer is added under that fingerprint', async () => {
    await see('/peers');
    await page.getByRole('button', { name: 'Add a peer' }).click();
    const dialog = page.getByRole('dialog');
    const file = { name: 'auth.peer', mimeType: 'text/plain', buffer: Buffer.alloc(50_000) };
    await dialog.getByLabel('Choose a file').setInputFiles(file);
    await dialog.getByText('This file is too large').waitFor();
    await dialog.getByLabel('Choose a file').setInputFiles({ ...file, buffer: Buffer.from('a peer file') });
    await dialog.getByRole('button', { name: 'Continue' }).click();
    await dialog.getByLabel('The other operator has read these words to me').check();
    await dialog.getByRole('button', { name: 'Add a peer' }).click();
    await dialog.waitFor({ state: 'detached' });
    expect(server.asked.find((one) => one.startsWith('POST /api/peers '))).to.match(
      /"file":"a peer file","fingerprint":"[0-9a-f]{64}"/,
    );
  });

  it('given one peer, when it is opened by its name, then it alone is shown', async () => {
    await see('/peers');
    await page.getByRole('link', { name: 'Auth3' }).click();
    await page.getByRole('heading', { name: 'Auth3' }).waitFor();
    expect(await page.getByRole('article').count()).to.equal(1);
    expect(peers(server.say)).to.have.length(2);
  });

  it('given an undeliverable message, when it is sent again, then its page says that it waits', async () => {
    await see('/messages?state=dead');
    await page.getByRole('row').getByRole('link').first().click();
    await page.getByRole('button', { name: 'Send again' }).click();
    await page.locator('.page-title .chip', { hasText: 'Waiting' }).waitFor();
  });

  it('given a request that changes under an operator’s eyes, when it is accepted, then the dialog says so and stays', async () => {
    await see('/approvals/approval-2');
    await page.getByRole('button', { name: 'Accept…' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('checkbox').check();
    await dialog.getByRole('button', { name: 'Accept' }).click();
    await dialog.getByRole('alert').getByText('The request has changed since you opened it.').waitFor();
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    // What the browser says of the refusal.
    expect(browser.takeComplaints().join()).to.contain('409');
  });

  it('given a reader of Spanish, when the language is chosen, then every page speaks it, now and after a reload', async () => {
    const spanish = await browser.open(`${server.address}/peers`, { locale: 'es-ES' });
    await spanish.getByRole('heading', { name: 'Nodos' }).waitFor();
    expect(await spanish.locator('html').getAttribute('lang')).to.equal('es');
    await spanish.getByLabel('Idioma').selectOption('en');
    await spanish.getByRole('heading', { name: 'Peers' }).waitFor();
    await spanish.reload();
    await spanish.getByRole('heading', { name: 'Peers' }).waitFor();
    await spanish.context().close();
  });

  it('given hostile texts of 10,000 characters in every field, when any page shows them, then they are text, every character is seen, and nothing overflows', async () => {
    server.say = (text) => `${text}${HOSTILE}${'W'.repeat(10_000)}`;
    await page.setViewportSize({ width: 360, height: 740 });
    for (const path of PAGES) {
      await see(path);
      await page.getByText(SHOWN).first().waitFor({ state: 'attached' });
      expect(await foreign(page), path).to.deep.equal({
        images: 0,
        invisible: false,
        overflow: 0,
        taken: false,
      });
    }
    await page.setViewportSize({ width: 1280, height: 900 });
  });

  for (const [colorScheme, width] of [
    ['light', 1280],
    ['dark', 360],
  ] as const)
    it(`given every page, when it is ${colorScheme} and ${width} pixels wide, then axe-core finds nothing`, async () => {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.clock.setFixedTime(NOW);
      await page.setViewportSize({ width, height: 900 });
      for (const path of PAGES) {
        await see(path);
        expect(await inaccessible(page), path).to.deep.equal([]);
      }
    });
});

async function height(page: Page): Promise<number> {
  return await page.locator('.tree').evaluate((box) => box.scrollHeight);
}

/** What hostile text could have become. */
async function foreign(page: Page) {
  return await page.locator('html').evaluate(({ ownerDocument: document }) => ({
    images: document.querySelectorAll('img').length,
    invisible: /[\u202E\u2066\u200B]/.test(document.body.textContent),
    overflow: Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth),
    taken: document.title.includes('taken') && !document.title.includes('`taken`'),
  }));
}
