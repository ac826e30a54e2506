/*
 * Text that other people or machines wrote. Always a text node, kept from turning the order of what stands beside it, and
 * with every character that is not seen shown as an escape of another look: what one reads is what there is (D33).
 */

// Everything that is not simply seen where it stands; U+0020 is the only space.
const UNSEEN = /(?! )[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]/gu;
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

function escaped(character: string): string {
  return (
    SHORT[character] ??
    Array.from(character, (one) => `\\u{${one.codePointAt(0)!.toString(16).padStart(4, '0')}}`).join('')
  );
}

/** For attributes and for placeholders in messages, where there can be no elements. */
export function plain(text: string): string {
  return text.replace(UNSEEN, escaped);
}

/** @param lines line breaks are kept, as in a description */
export function Remote({ text, lines = false }: { readonly text: string; readonly lines?: boolean }) {
  if (!lines) return <bdi class="remote">{seen(text)}</bdi>;
  return (
    <span class="remote-lines">
      {text.split('\n').map((line, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines have no other identity
        <bdi key={index} class="remote-line">
          {seen(line)}
        </bdi>
      ))}
    </span>
  );
}

function seen(text: string) {
  const parts: (string | { readonly escape: string })[] = [];
  let end = 0;
  for (const found of text.matchAll(UNSEEN)) {
    if (found.index > end) parts.push(text.slice(end, found.index));
    parts.push({ escape: escaped(found[0]) });
    end = found.index + found[0].length;
  }
  if (end < text.length) parts.push(text.slice(end));
  return parts.map((part, index) =>
    typeof part === 'string' ? (
      part
    ) : (
      // biome-ignore lint/suspicious/noArrayIndexKey: characters have no other identity
      <span key={index} class="escape">
        {part.escape}
      </span>
    ),
  );
}
