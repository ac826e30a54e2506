/* Data as they are: JSON, every character seen. Can be scrolled with the keyboard. */
import type { Json } from '../../../json.ts';
import { t } from '../catalogue/messages.ts';
import { CopyButton } from './copy-button.tsx';
import { Remote } from './remote.tsx';

const SHOWN_CHARACTERS = 20_000;

export function JsonView({ label, value }: { readonly label: string; readonly value: Json }) {
  const text = JSON.stringify(value, null, 2) ?? 'null';
  return <TextView label={label} text={text} />;
}

export function TextView({ label, text }: { readonly label: string; readonly text: string }) {
  return (
    <div class="stack stack-tight">
      <div class="card-head">
        <h3>{label}</h3>
        <CopyButton text={text} what={label} />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be scrolled without a mouse too */}
      <pre class="code" tabIndex={0}>
        <Remote text={text.slice(0, SHOWN_CHARACTERS)} lines />
      </pre>
      {text.length > SHOWN_CHARACTERS && <p class="small muted">{t('json.cut', { count: text.length })}</p>}
    </div>
  );
}
