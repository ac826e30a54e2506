/* One message of a catalogue: a text with {placeholders}, or a text for each plural form. */
export type Message = string | { readonly one: string; readonly other: string };
