/* A state as a word, a sign and a colour: each of the three alone would do. */
import { Icon, type IconName } from './icon.tsx';

export type Tone = 'good' | 'attention' | 'bad' | 'busy' | 'idle';

const ICONS: Readonly<Record<Tone, IconName>> = {
  good: 'good',
  attention: 'waiting',
  bad: 'bad',
  busy: 'busy',
  idle: 'idle',
};

export function Chip({ tone, text }: { readonly tone: Tone; readonly text: string }) {
  return (
    <span class={`chip tone-${tone}`}>
      <Icon name={ICONS[tone]} />
      {text}
    </span>
  );
}
