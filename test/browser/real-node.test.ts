import { expect } from 'chai';
import type { Page } from 'playwright-core';
import { electionRequest } from '../../lib/cli/demo/election.ts';
import { DemoManager } from '../../lib/cli/demo/manager.ts';
import { electionWorkflows } from '../../lib/node/elections.ts';
import type { RunningNode } from '../../lib/node/node.ts';
import { readPeerFile } from '../../lib/protocol/peer-file.ts';
import { commandWith } from '../support/command.ts';
import { type NodeFolder, NodeFolders, trust } from '../support/node-folders.ts';
import { inaccessible, TestBrowser } from './browser.ts';

describe("the console's page at a real node", function () {
  this.timeout(60_000);
  const folders = new NodeFolders();
  let browser: TestBrowser;
  let folder: NodeFolder;
  let node: RunningNode;
  let manager: DemoManager;
  let address: string;
  let page: Page;

  const linkFor = async (operator: string): Promise<string> => {
    const { out } = await commandWith(
      {},
      '--settings',
      folder.settings,
      'console',
      '--operator',
      operator,
      '--json',
    );
    return (JSON.parse(out) as { url: string }).url;
  };
  const ask = (id: number): Promise<unknown> =>
    manager.post(folder, '/public_api/election', electionRequest(id, 2, 1, manager.callbackUrl, [folder]));
  const outcome = (id: number) =>
    manager.callback('POST /election', AbortSignal.timeout(20_000), () => {}, id);
  const requests = () => page.getByRole('link').filter({ hasText: 'Demonstration election' });

  before(async () => {
    [manager, browser, folder] = await Promise.all([
      DemoManager.start(),
      TestBrowser.launch(),
      folders.make('Auth1'),
    ]);
    node = await folders.start(folder, { workflows: electionWorkflows });
    const { certificate, ...peer } = readPeerFile(Buffer.from(manager.peerFile));
    await trust(node, { ...peer, certificate }, [...peer.roles]);
    manager.know(folder.certificate);
    address = `http://127.0.0.1:${node.addresses.console!.port}`;
  });
  after(async () => {
    await browser?.close();
    await manager?.close();
    await folders.close();
  });

  it('given nobody who is signed in, when the page is opened, then it says how to get a link', async () => {
    const stranger = await browser.open(address);
    await stranger.getByText('conclave console', { exact: true }).waitFor();
    expect(await inaccessible(stranger)).to.deep.equal([]);
    // The browser reports the one refusal by which the page learns that there is no session.
    expect(browser.takeComplaints().filter((text) => !text.includes('401'))).to.deep.equal([]);
    await stranger.context().close();
  });

  it('given a link, when it is opened, then it shows what waits and its token is gone from the address; the second time it opens nothing', async () => {
    const link = await linkFor('Ana');
    page = await browser.open(link);
    await page.getByRole('heading', { name: 'Nothing waits for you' }).waitFor();
    expect(page.url()).to.equal(`${address}/`);
    await page.getByText('Signed in as Ana').waitFor();
    const second = await browser.open(link);
    await second.getByText('This link was used already, or is too old').waitFor();
    await second.context().close();
    expect(browser.takeComplaints().filter((text) => !text.includes('401'))).to.deep.equal([]);
  });

  it('given an operator who watches, when an election is asked for and accepted, then it appears by itself, and its keys are made', async () => {
    await ask(1);
    await requests().click();
    await page.getByRole('heading', { name: 'Who should be president?' }).waitFor();
    const shown = await page.locator('.decision .hash').textContent();
    expect(await inaccessible(page)).to.deep.equal([]);
    await page.getByRole('button', { name: 'Accept…' }).click();
    const dialog = page.getByRole('dialog');
    const accept = dialog.getByRole('button', { name: 'Accept' });
    expect(await accept.isDisabled(), 'before the hash is compared').to.equal(true);
    expect(await dialog.locator('.hash').textContent()).to.equal(shown);
    await dialog.getByLabel('I have read the request and compared the hash').check();
    expect(await inaccessible(page)).to.deep.equal([]);
    await accept.click();
    await dialog.waitFor({ state: 'detached' });
    await page.locator('.page-title .chip', { hasText: 'Accepted' }).waitFor();
    expect((await outcome(1)).status).to.equal('finished');
    await page.getByRole('link', { name: 'Elections' }).click();
    await page
      .getByRole('row', { name: /Demonstration election/ })
      .getByText('Keys ready')
      .waitFor();
    await page.getByRole('link', { name: 'Demonstration election' }).click();
    await page.getByText('Key share held here').first().waitFor();
    expect(browser.takeComplaints()).to.deep.equal([]);
  });

  it('given a request, when it is denied with a reason, then the reason reaches the callback', async () => {
    const reason = 'the period is wrong: <b>monday</b>';
    await page.goto(address);
    await ask(2);
    await requests().click();
    await page.getByRole('button', { name: 'Deny…' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Reason').fill(reason);
    await dialog.getByRole('button', { name: 'Deny' }).click();
    const { status, data } = await outcome(2);
    expect(status).to.equal('error');
    expect(JSON.stringify(data)).to.contain(reason);
    await page.getByText(reason).waitFor();
    expect(browser.takeComplaints()).to.deep.equal([]);
  });

  it('given every page, when it shows what the node has, then the node answers, and nothing is complained about', async () => {
    for (const path of ['/elections', '/tasks', '/peers', '/messages']) {
      await page.goto(`${address}${path}`);
      await page.locator('.arriving').waitFor({ state: 'detached' });
      await page.getByRole('heading', { level: 1 }).waitFor();
      expect(await page.getByRole('button', { name: 'Try again' }).count(), path).to.equal(0);
    }
    await page.goto(`${address}/tasks`);
    await page.getByRole('link', { name: 'Create the election' }).first().click();
    await page.getByRole('treeitem').nth(1).waitFor();
    expect(browser.takeComplaints()).to.deep.equal([]);
  });

  it('given a session, when it is ended, then the page shows nothing more', async () => {
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'You have signed out' }).waitFor();
    expect(await page.getByRole('navigation').count()).to.equal(0);
  });
});
