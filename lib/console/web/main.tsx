/* Begins the console in the browser. */
import './styles/tokens.css';
import './styles/base.css';
import './styles/layout.css';
import './styles/components.css';
import './styles/tables.css';
import './styles/tree.css';
import './styles/pages.css';
import { effect } from '@preact/signals';
import { render } from 'preact';
import { App } from './app.tsx';
import { showAppearance } from './appearance.ts';
import { language } from './catalogue/messages.ts';
import { startClock } from './live/clock.ts';
import { reconnectWhenBack } from './live/connection.ts';
import { openLinksWhenTheyCome, openSession } from './live/session.ts';
import { followLinks } from './router.ts';

showAppearance();
effect(() => {
  document.documentElement.lang = language.value;
});
startClock();
followLinks();
reconnectWhenBack();
openLinksWhenTheyCome();
render(<App />, document.getElementById('console')!);
void openSession();
