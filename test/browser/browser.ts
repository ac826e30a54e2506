/*
 * The system's Chromium for tests of the console's page: one process per file of tests, a profile of its own that is
 * thrown away, no traffic of its own. Keeps what the page complains about, and asks axe-core for what is inaccessible.
 */
import { createRequire } from 'node:module';
import type { AxeResults, RunOptions } from 'axe-core';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const CHROMIUM = '/usr/bin/chromium';
const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const SWITCHES = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** What the console is held to: WCAG 2.2 AA, and axe's good practice. */
const RULES: RunOptions = { resultTypes: ['violations'] };

export class TestBrowser {
  readonly #browser: Browser;
  readonly #complaints: string[] = [];

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async launch(): Promise<TestBrowser> {
    return new TestBrowser(
      await chromium.launch({ executablePath: CHROMIUM, chromiumSandbox: false, args: SWITCHES }),
    );
  }

  async close(): Promise<void> {
    await this.#browser.close();
  }

  /** A page without memory of earlier ones. English, light and wide unless said otherwise. */
  async open(url: string, options: BrowserContextOptions = {}): Promise<Page> {
    const context = await this.#browser.newContext({
      locale: 'en-GB',
      timezoneId: 'UTC',
      colorScheme: 'light',
      reducedMotion: 'reduce',
      viewport: { width: 1280, height: 900 },
      ...options,
    });
    context.setDefaultTimeout(10_000);
    await context.addInitScript({ path: AXE });
    const page = await context.newPage();
    page.on('pageerror', (error) => this.#complaints.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') this.#complaints.push(message.text());
    });
    await page.goto(url);
    return page;
  }

  /** Errors, warnings and refusals of the Content-Security-Policy since the last call. */
  takeComplaints(): string[] {
    return this.#complaints.splice(0);
  }
}

declare const axe: { run(options: RunOptions): Promise<AxeResults> };

/** What axe-core finds wrong: a line for each place. */
export async function inaccessible(page: Page): Promise<string[]> {
  const { violations } = await page.evaluate((options) => axe.run(options), RULES);
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${help}: ${target.join(' ')}: ${failureSummary}`),
  );
}
