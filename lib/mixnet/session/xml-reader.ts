/**
 * A strict reader for the flat XML of protocol information files: elements and text, comments between them, nothing else.
 *
 * No document type, no attributes, no processing instruction but a leading XML declaration, and of entities only the
 * five predefined ones: a protInfo.xml comes from other authorities. Values are kept verbatim, white space included.
 */
import { Refusal } from '../refusal.ts';

export interface XmlElement {
  readonly name: string;
  /** Text of an element without children; empty for one with children, whose white space is dropped. */
  readonly text: string;
  readonly children: readonly XmlElement[];
}

export const xmlLimits = { characters: 1_000_000, elements: 1_000, depth: 4 } as const;

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

interface Open {
  readonly name: string;
  text: string;
  readonly children: XmlElement[];
}

/** The document element. */
export function readXml(source: string, what: string): XmlElement {
  if (source.length > xmlLimits.characters) refuse(what, `longer than ${xmlLimits.characters} characters`);
  const open: Open[] = [];
  const token = /<\?xml [^<>?]*\?>|<!--[\s\S]*?-->|<(\/?)([A-Za-z][A-Za-z0-9]*)[ \t\r\n]*>|([^<]+)/y;
  let root: XmlElement | undefined;
  let count = 0;
  while (token.lastIndex < source.length) {
    const at = token.lastIndex;
    const match = token.exec(source);
    if (match === null) return refuse(what, `unexpected markup at character ${at}`);
    const [whole, slash, name, text] = match;
    if (text !== undefined) {
      const parent = open.at(-1);
      if (parent !== undefined) parent.text += decodeEntities(text, what);
      else if (text.trim() !== '') refuse(what, 'text outside the document element');
    } else if (name === undefined) {
      if (whole.startsWith('<?') && at !== 0) refuse(what, 'an XML declaration inside the document');
    } else if (slash === '') {
      if (root !== undefined || ++count > xmlLimits.elements || open.length >= xmlLimits.depth) {
        refuse(what, 'too many or too deep elements');
      }
      open.push({ name, text: '', children: [] });
    } else {
      const closed = close(open, name, what);
      const parent = open.at(-1);
      if (parent === undefined) root = closed;
      else parent.children.push(closed);
    }
  }
  if (root === undefined || open.length > 0) refuse(what, 'the document element is not closed');
  return root;
}

function close(open: Open[], name: string, what: string): XmlElement {
  const element = open.pop();
  if (element?.name !== name) return refuse(what, `</${name}> closes nothing`);
  if (element.children.length > 0) {
    if (element.text.trim() !== '') refuse(what, `text beside the elements in <${name}>`);
    element.text = '';
  }
  return element;
}

function decodeEntities(text: string, what: string): string {
  return text.replace(/&([^;]*;?)/g, (_, reference: string) => {
    const value = reference.endsWith(';') ? entities[reference.slice(0, -1)] : undefined;
    return value ?? refuse(what, 'an entity other than the five predefined ones');
  });
}

export function escapeXml(text: string): string {
  return text.replace(/[&<>]/g, (character) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[character]!);
}

function refuse(what: string, text: string): never {
  throw new Refusal('protinfo-malformed', `${what}: ${text}`);
}
