import { expect } from 'chai';
import { electionWorkflows } from '../../lib/node/elections.ts';
import type { RunningNode } from '../../lib/node/node.ts';
import { NodeFolders } from '../support/node-folders.ts';
import { inaccessible, TestBrowser } from './browser.ts';

describe("the console's page at a real node", function () {
  this.timeout(60_000);
  const folders = new NodeFolders();
  let browser: TestBrowser;
  let node: RunningNode;
  let address: string;

  before(async () => {
    node = await folders.start(await folders.make('Auth1'), { workflows: electionWorkflows });
    address = `http://127.0.0.1:${node.addresses.console!.port}`;
    browser = await TestBrowser.launch();
  });
  after(async () => {
    await browser?.close();
    await folders.close();
  });

  it('given nobody who is signed in, when the page is opened, then it says how to get a link', async () => {
    const page = await browser.open(address);
    await page.getByText('conclave console', { exact: true }).waitFor();
    expect(await page.getByRole('heading', { level: 1 }).textContent()).to.equal('Conclave');
    expect(await inaccessible(page)).to.deep.equal([]);
    // The browser reports the one refusal by which the page learns that there is no session.
    expect(browser.takeComplaints().filter((text) => !text.includes('401'))).to.deep.equal([]);
  });
});
